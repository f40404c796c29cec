"""The Spark engine: Apache Spark computes and commits through Delta's own library. Needs Java 17 and the Delta jars."""
