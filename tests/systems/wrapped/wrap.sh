# Starts server.py as node NAME is to have it: sh wrap.sh KIND.
case "$1" in
exec) exec python3 server.py ;;
child) python3 server.py; true ;;
session) setsid python3 server.py & wait ;;
respawn) while true; do python3 server.py; done ;;
outlives) (setsid sleep 1000 &); exec python3 server.py ;;
waits)
    rm -f server.pid
    python3 server.py daemon
    until [ -f server.pid ]; do sleep 0.1; done
    while kill -0 "$(cat server.pid)" 2>/dev/null; do sleep 0.1; done
    ;;
leaves) exec python3 server.py daemon ;;
grouped)
    mount="$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)"
    group="$mount$(sed -n 's/^0:://p' /proc/self/cgroup)/own"
    { mkdir "$group"; echo 0 > "$group/cgroup.procs"; } 2>/dev/null
    exec python3 server.py
    ;;
jailed) exec unshare --user --map-root-user --pid --fork python3 server.py ;;
apart) exec unshare --user --map-root-user --net --pid --fork sh -c 'sleep 1000 & exec python3 server.py' ;;
*) exec python3 server.py "$1" ;;
esac
