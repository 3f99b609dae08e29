# The image has only the static binary of the server and the public CA certificates: no shell and no
# libraries. It runs as user 65532 and writes only to /var/lib/keepwatch.

ARG RUST_VERSION=1.95

FROM rust:${RUST_VERSION}-alpine AS build
RUN apk add --no-cache build-base ca-certificates
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
# Build settings of SQLite and jemalloc.
COPY .cargo .cargo
COPY crates crates
COPY rules rules
# On Alpine, Rust links the C library statically.
RUN cargo build --release --locked --package keepwatch --bin keepwatch \
  && strip target/release/keepwatch \
  && install -d -o 65532 -g 65532 -m 0700 /data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/target/release/keepwatch /keepwatch
# Without a volume, all data is lost with the container.
COPY --from=build --chown=65532:65532 /data /var/lib/keepwatch
USER 65532:65532
EXPOSE 10250
STOPSIGNAL SIGTERM
ENTRYPOINT ["/keepwatch"]
CMD ["serve"]
