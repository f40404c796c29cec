FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /venv
COPY requirements-build.lock requirements-postgres.lock ./
RUN /venv/bin/pip install --no-cache-dir --require-hashes -r requirements-postgres.lock \
    && python -m pip install --no-cache-dir --require-hashes -r requirements-build.lock
COPY . .
# Built with the locked tools, installed without any download: what runs is what the lock names.
RUN python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /venv/bin/pip install --no-cache-dir --no-index --no-deps /wheels/*.whl \
    && /venv/bin/pip uninstall --yes --quiet pip setuptools

FROM python:3.11-slim
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    C360_HOME=/var/lib/c360 \
    C360_HOST=0.0.0.0 \
    C360_PORT=8000
RUN useradd --system --uid 10360 --home-dir /var/lib/c360 --create-home --shell /usr/sbin/nologin c360
COPY --from=build /venv /venv
USER c360
WORKDIR /var/lib/c360
VOLUME /var/lib/c360
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['C360_PORT']}/healthz\", timeout=2)"]
ENTRYPOINT ["c360"]
CMD ["serve"]
