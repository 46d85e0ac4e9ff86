# One image for each program: `docker build --target etl-worker .`, resize-worker, autoscaler.
# The last stages hold the program, CA certificates and time zones, and nothing else.
#
# Where the programs are built already, as in the tests, a folder takes the place of the stage
# `build`: `--build-context build=FOLDER` (docker buildx, buildah), laid out as that stage leaves it.

FROM rust:1.95-slim-trixie AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates cmake g++ make tzdata \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# Static, though by glibc: it runs in `scratch` and resolves names. The target is named so that
# the flag does not reach build scripts and macros.
ENV RUSTFLAGS="-C target-feature=+crt-static"
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    host="$(rustc -vV | sed -n 's/^host: //p')" \
    && cargo build --locked --profile dist --target "$host" \
        -p stepfleet-etl-worker -p stepfleet-resize-worker -p stepfleet-autoscaler \
    && mkdir -p /out/bin \
    && cp "target/$host/dist/etl-worker" "target/$host/dist/resize-worker" "target/$host/dist/autoscaler" /out/bin/

FROM scratch AS base
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# For schedules in the catalogue that name a zone.
COPY --from=build /usr/share/zoneinfo /usr/share/zoneinfo
USER 65532:65532

FROM base AS etl-worker
COPY --from=build /out/bin/etl-worker /etl-worker
ENTRYPOINT ["/etl-worker"]

FROM base AS resize-worker
COPY --from=build /out/bin/resize-worker /resize-worker
ENTRYPOINT ["/resize-worker"]

FROM base AS autoscaler
COPY --from=build /out/bin/autoscaler /autoscaler
ENTRYPOINT ["/autoscaler"]
