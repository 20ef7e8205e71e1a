#!/bin/sh
# Fills in the template, but for nginx's own variables; then becomes the server.
set -eu
names="$(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/${\1}/p' | tr '\n' ' ')"
envsubst "$names" </etc/nginx/templates/default.conf.template >/etc/nginx/conf.d/default.conf
exec nginx -g 'daemon off; error_log /dev/stderr notice;'
