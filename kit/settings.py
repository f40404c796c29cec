"""Settings, read by entry points only and passed on as values.

Every setting is an environment variable ``C360_<NAME>``; the command line's options win over it.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from kit.keyring import KeyRing


class Settings(BaseSettings):
    """What an installation may choose. Everything the service keeps lies under ``home``."""

    model_config = SettingsConfigDict(env_prefix="C360_", extra="ignore")

    home: Path = Field(default=Path(".c360"), description="Directory of all state")
    database_url: str = Field(default="", description="SQLAlchemy URL of the control database; default: SQLite in home")
    memory_limit_mb: int = Field(
        default=2048, ge=256, description="Memory the embedded engine may use before it spills, MiB"
    )
    threads: int = Field(default=0, ge=0, description="Threads of the embedded engine; 0: one per core")
    batch_max_mb: int = Field(default=1024, ge=1, description="Bytes of landing files one ingest batch takes, MiB")
    lease_seconds: float = Field(default=8.0, gt=0, description="How long a writer keeps a table without a heartbeat")
    worker_concurrency: int = Field(default=2, ge=1, description="How many runs a worker carries out at a time")
    worker_lease_seconds: float = Field(
        default=8.0,
        gt=0,
        description="How long a worker keeps a run without a sign of life; it gives one four times as often",
    )
    worker_poll_seconds: float = Field(default=0.5, gt=0, description="How long a free worker waits between two looks")
    worker_grace_seconds: float = Field(
        default=20.0,
        ge=0,
        description="How long a worker that is to stop lets its runs go on before it gives them back",
    )
    run_retention_days: int = Field(default=90, ge=1, description="How long ended runs are kept")
    audit_retention_days: int = Field(
        default=90,
        ge=1,
        description="How long audit rows that system.access.audit has are kept in the control database too",
    )
    online_map_mb: int = Field(default=4096, ge=64, description="Address space of the online store, MiB (sparse)")
    keyring: SecretStr = Field(
        default=SecretStr(""), description="The key ring itself, as JSON; default: a file of mode 600 in home"
    )
    keyring_file: Path | None = Field(default=None, description="File with the key ring, as a secret store mounts it")
    host: str = Field(default="127.0.0.1", description="Address the API listens on")
    port: int = Field(default=8000, ge=0, le=65535, description="Port the API listens on; 0: any free one")
    public_url: str = Field(
        default="", description="Where callers reach the API, without a slash at the end; default: http://host:port"
    )
    log_level: str = Field(
        default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="What services log at least"
    )
    log_format: str = Field(
        default="auto",
        pattern="^(auto|json|text)$",
        description="Form of the lines; auto: text on a terminal, else json",
    )
    spark_master: str = Field(default="local[*]", description="Master of the Spark engine")
    databricks_job_id: int = Field(default=0, ge=0, description="Deployed job that runs on Databricks start; 0: none")
    databricks_wheel: str = Field(
        default="",
        description="Path of our wheel in a volume, for one-time runs on Databricks where no job is deployed",
    )
    spark_jars: Path = Field(default=Path(".jars"), description="Folder with the Delta jars (make jars)")

    @property
    def log_as_json(self) -> bool | None:
        """None: as fits where the lines go."""
        return None if self.log_format == "auto" else self.log_format == "json"

    @property
    def landing(self) -> Path:
        return self.home / "landing"

    @property
    def lake(self) -> Path:
        return self.home / "lake"

    @property
    def online(self) -> Path:
        return self.home / "online"

    @property
    def scratch(self) -> Path:
        return self.home / "scratch"

    @property
    def issuer(self) -> str:
        """Who issues access tokens. All API processes of an installation must agree on it."""
        return self.public_url.rstrip("/") or f"http://{self.host}:{self.port}"

    @property
    def own_keyring_file(self) -> Path:
        return self.home / "keyring.json"

    def key_ring(self) -> KeyRing:
        """The key ring: given by a secret store, or the file in home. Nothing is read or made before a key is needed."""
        return KeyRing.choose(
            self.own_keyring_file, document=self.keyring.get_secret_value(), secret_file=self.keyring_file
        )

    @property
    def control_database_url(self) -> str:
        return self.database_url or f"sqlite:///{self.home.absolute() / 'control.db'}"
