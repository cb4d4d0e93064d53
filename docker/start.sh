# The entry point of the image: `corvo ...` runs the command line, other arguments are the server's.
# It starts with SIGTERM and SIGINT blocked. Only the server unblocks them itself.
if [ "$1" = corvo ]; then
  exec env --default-signal=SIGTERM,SIGINT "$@"
fi
exec corvo-server "$@"
