# Prints what the role has to know of a host, a fact on each line. Its argument: names of users, separated by spaces.
dpkg-query --show --showformat '${db:Status-Status} ${Package} ${Version}\n' \
  docker-ce docker-ce-cli docker-buildx-plugin docker-compose-plugin containerd.io \
  docker.io docker-cli docker-buildx docker-compose docker-compose-v2 containerd runc podman-docker 2>/dev/null |
  sed -n 's/^installed /package /p'
if [ -d /snap/docker ]; then echo 'package docker-snap 0'; fi

# The command line's settings, which the daemon's file must not repeat.
process=$(systemctl show --property=MainPID --value docker.service 2>/dev/null)
if [ "${process:-0}" != 0 ]; then tr '\0' '\n' <"/proc/$process/cmdline" | sed -n '2,$s/^/flag /p'; fi

# Where a daemon that somebody else has configured keeps its data.
python3 -c 'import json; print("root", json.load(open("/etc/docker/daemon.json"))["data-root"])' 2>/dev/null

grep -ls 'download\.docker\.com' /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources |
  sed 's/^/source /'

for user in $1; do
  if ! getent passwd "$user" >/dev/null; then echo "unknown $user"; fi
done
