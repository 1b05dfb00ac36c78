# Caddy with the module, built with Caddy's builder image.
FROM caddy:2.11.9-builder AS builder
RUN xcaddy build v2.11.9 --with github.com/caddy-djoser/djoser

FROM caddy:2.11.9
COPY --from=builder /usr/bin/caddy /usr/bin/caddy
