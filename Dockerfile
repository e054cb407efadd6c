# The agent as a container. Debian 13: security support, and OpenSSL 3.5 with post-quantum key
# exchange. `scripts/dev image` builds the same file without a container engine.
ARG BUILD_BASE=docker.io/library/debian:trixie
ARG RUN_BASE=docker.io/library/debian:trixie-slim

FROM ${BUILD_BASE} AS build
WORKDIR /src
# The packages first: they change less often than the sources.
COPY scripts/dev scripts/setup scripts/packages.txt scripts/runtime-packages scripts/
RUN scripts/dev setup build
COPY CMakeLists.txt CMakePresets.json ./
COPY cmake/ cmake/
COPY common/ common/
COPY agent/ agent/
# What `ptth-agent version` reports; the repository itself stays outside.
ARG PTTH_COMMIT=
RUN scripts/dev build release -DBUILD_TESTING=OFF -DPTTH_COMMIT="$PTTH_COMMIT" ptth-agent \
 && strip -o /ptth-agent build/release/ptth-agent \
 && scripts/runtime-packages /ptth-agent > /runtime-packages

FROM ${RUN_BASE}
RUN --mount=type=bind,from=build,source=/runtime-packages,target=/runtime-packages \
    apt-get update \
 && xargs -a /runtime-packages apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log
COPY --from=build /ptth-agent /usr/local/bin/ptth-agent
USER 65532:65532
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
  CMD ["/usr/local/bin/ptth-agent", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/ptth-agent"]
CMD ["run"]
