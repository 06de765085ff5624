# One image for every role of the fleet: the program, ONNX Runtime's library, the starter pack.
# Built by docker-compose.yml, or: docker build -t eyefleet:local .

FROM rust:1.95-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-pip \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# Changes seldom, so it comes before the sources.
COPY scripts/fetch-onnxruntime scripts/onnxruntime.txt scripts/
RUN scripts/fetch-onnxruntime /onnxruntime
COPY . .
# The caches stay on the machine that builds; only the program leaves this step.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin eyefleet \
 && install -D target/release/eyefleet /program/eyefleet

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates libstdc++6 \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10001 eyefleet \
 && useradd --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin eyefleet \
 && install -d -o eyefleet -g eyefleet /data
COPY --from=build /onnxruntime/ /usr/local/lib/
COPY --from=build /program/eyefleet /usr/local/bin/eyefleet
COPY --chmod=0755 scripts/healthcheck /usr/local/bin/eyefleet-health
COPY models/ /usr/local/share/eyefleet/models/
COPY LICENSE-MIT LICENSE-APACHE /usr/local/share/eyefleet/
ENV EYEFLEET_DATA=/data \
    EYEFLEET_PATHS__PACKS=/usr/local/share/eyefleet/models \
    EYEFLEET_PATHS__ONNXRUNTIME=/usr/local/lib/libonnxruntime.so
USER 10001:10001
WORKDIR /data
ENTRYPOINT ["eyefleet"]
CMD ["--help"]
