# syntax=docker/dockerfile:1
# Two images: `server` writes to a ClickHouse of yours; `embedded` (the default) has its own inside.
#   docker build -t lapwing .
#   docker build -t lapwing:server --target server .

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
ARG LAPWING_COMMIT
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked && cp target/release/lapwing /usr/local/bin/lapwing

# The engine library, by its pinned version and SHA-256. glibc is needed: neither musl nor scratch will do.
FROM build AS engine
ENV LAPWING_CACHE_DIR=/var/cache/lapwing
RUN lapwing fetch-engine

FROM debian:bookworm-slim AS server
LABEL org.opencontainers.image.title="Lapwing" \
      org.opencontainers.image.description="An OpenTelemetry collector for LLM calls" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 lapwing \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/lapwing --shell /usr/sbin/nologin lapwing \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/lapwing
COPY --from=build /usr/local/bin/lapwing /usr/local/bin/lapwing
COPY deploy/config/container.yaml /etc/lapwing/lapwing.yaml
ENV LAPWING_CONFIG=/etc/lapwing/lapwing.yaml
USER 10001:10001
VOLUME /var/lib/lapwing
EXPOSE 4317 4318 4319
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["lapwing", "health"]
ENTRYPOINT ["lapwing"]
CMD ["serve"]

FROM server AS embedded
COPY --from=engine --chown=root:root /var/cache/lapwing /var/cache/lapwing
ENV LAPWING_CACHE_DIR=/var/cache/lapwing
EXPOSE 8123
