# Tidings in an image of its own: built with everything that the Kafka client needs, run with nothing but the C library.
FROM rust:1.95.0-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ make \
    && rm -rf /var/lib/apt/lists/*
# The image's own: rust-toolchain.toml would fetch a formatter and lints too.
ENV RUSTUP_TOOLCHAIN=1.95.0
# What a profiler wants to know of functions is large, and nobody profiles here.
ENV CARGO_PROFILE_RELEASE_DEBUG=false
WORKDIR /tidings
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/tidings/target \
    cargo build --release --locked --package tidings-gateway --bin tidings \
    && cp target/release/tidings /usr/local/bin/tidings

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/tidings --create-home --shell /usr/sbin/nologin tidings
COPY --from=build /usr/local/bin/tidings /usr/local/bin/tidings
USER tidings
WORKDIR /var/lib/tidings
ENV TIDINGS_DATA=/var/lib/tidings
VOLUME /var/lib/tidings
EXPOSE 8080
# Of a slim Debian only bash can ask over HTTP.
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=12 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /readyz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"]
ENTRYPOINT ["tidings"]
CMD ["serve", "--listen", "0.0.0.0:8080"]
