# Caddy with the module of this checkout: docker build -t caddy-djoser .
# It runs as Caddy's image does: /etc/caddy/Caddyfile, data in /data, /config.
FROM golang:1.26-alpine AS builder
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# The tags leave out old stores of Caddy's own authority.
RUN CGO_ENABLED=0 go build -tags=nobadger,nomysql,nopgx -ldflags="-s -w" -o /caddy ./cmd/caddy

FROM caddy:2.11.9
COPY --from=builder /caddy /usr/bin/caddy
# Not as root: give a user /data and /config, and take ports from 1024 on.
# RUN adduser -D -u 1000 web && chown -R web /data /config
# USER web
