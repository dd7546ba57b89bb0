/** The files of the system service: units of systemd with what they need, an init script where there is no systemd. */

export interface Program {
  readonly node: string;
  /** Of the package. */
  readonly folder: string;
}

export const serviceUser = "cloister";
/** Root of store and state: the logical store directory is /cloister/store, on every machine. */
export const serviceFolder = "/cloister";
/** Subordinate ids: builds of one machine never have to wait for one, nor share one. */
export const subordinateIds = 2 ** 24;

/**
 * Runs as the user cloister; no root exists in it anywhere. newuidmap and newgidmap, which give builds their ids, have a
 * set-id bit: NoNewPrivileges, and all that systemd.exec(5) says implies it (filters of system calls, of address families
 * and name spaces, private devices, protected kernel logs, modules, tunables, clock and host name), would take it away.
 * The jails have filters of their own. Mounts below /proc would keep jails from having a /proc.
 */
export function serviceUnit({ node, folder }: Program): string {
  return `# Made by \`cloister service install\`; \`systemctl edit cloister.service\` changes it without losing this.
[Unit]
Description=Hermetic build daemon
Documentation=file://${folder}/README.md
Requires=cloister.socket
After=network.target cloister.socket

[Service]
Type=notify
NotifyAccess=main
User=${serviceUser}
Group=${serviceUser}
ExecStart=${quote(node)} ${quote(`${folder}/daemon/server/bin.js`)} --root /
ExecReload=/bin/kill -HUP $MAINPID
Environment=HOME=${serviceFolder}
WatchdogSec=2min
Restart=on-failure
RestartSec=1s
# Running builds may end first; the daemon asks for more time itself.
TimeoutStopSec=90s
KillMode=mixed
# A build that runs out of memory is that build's end and nobody else's.
OOMPolicy=continue
# Builds are put into groups below this one.
Delegate=yes
TasksMax=infinity
LimitNOFILE=524288
UMask=0022

ProtectSystem=strict
ReadWritePaths=${serviceFolder}
# Result links in homes and in /tmp keep store paths alive: they must stay readable, and be the users' own.
ProtectHome=read-only
PrivateTmp=no
# The daemon has no capability. This is what newuidmap and newgidmap need where they are set-uid root: to open the
# user's uid_map (DAC_OVERRIDE), and to write it as somebody who does not own the name space (SYS_ADMIN).
CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_DAC_OVERRIDE CAP_SYS_ADMIN
AmbientCapabilities=
NoNewPrivileges=no
KeyringMode=private
PrivateIPC=yes
DevicePolicy=closed
DeviceAllow=/dev/tty rw
DeviceAllow=/dev/ptmx rw
DeviceAllow=char-pts rw
DeviceAllow=/dev/net/tun rw
DeviceAllow=/dev/kvm rw

[Install]
WantedBy=multi-user.target
Also=cloister.socket
`;
}

export const socketUnit = `# Made by \`cloister service install\`.
[Unit]
Description=Hermetic build daemon, socket

[Socket]
ListenStream=/run/cloister/socket
# Who connects is asked of the kernel; allowedUsers and trustedUsers in /etc/cloister/cloister.toml say who may.
SocketMode=0666
DirectoryMode=0755
Backlog=511

[Install]
WantedBy=sockets.target
`;

export const sysusersSnippet = `# Made by \`cloister service install\`.
u ${serviceUser} - "Hermetic build daemon" ${serviceFolder} /usr/sbin/nologin
`;

export const tmpfilesSnippet = `# Made by \`cloister service install\`.
d ${serviceFolder} 0755 ${serviceUser} ${serviceUser} -
d /run/cloister 0755 root root -
`;

export const settingsTemplate = `# The system's cloister daemon; docs/configuration.md has all settings. \`cloister reload\` applies changes.
# maxJobs = 4
# allowedUsers = ["*"]
# trustedUsers = ["@wheel"]

[limits]
# memory = "8G"
# timeout = 7200
`;

/** Where there is no systemd: started as the user cloister, too. Needs start-stop-daemon, which every sysvinit has. */
export function initScript({ node, folder }: Program): string {
  return `#!/bin/sh
# Made by \`cloister service install\`.
### BEGIN INIT INFO
# Provides:          cloister
# Required-Start:    $local_fs $remote_fs
# Required-Stop:     $local_fs $remote_fs
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: Hermetic build daemon
### END INIT INFO
node=${shellQuote(node)}
program=${shellQuote(`${folder}/daemon/server/bin.js`)}
client=${shellQuote(`${folder}/daemon/cli/bin.js`)}
pidfile=/run/cloister/pid
log=${serviceFolder}/var/cloister/log

start() {
  mkdir -p /run/cloister && chown ${serviceUser}:${serviceUser} /run/cloister || return
  mkdir -p "$log" && chown -R ${serviceUser}:${serviceUser} ${serviceFolder}/var || return
  HOME=${serviceFolder} start-stop-daemon --start --oknodo --background --make-pidfile --pidfile "$pidfile" \\
    --chuid ${serviceUser}:${serviceUser} --startas /bin/sh -- -c \\
    'exec "$0" "$1" --root / </dev/null >>"$2/daemon.log" 2>&1' "$node" "$program" "$log"
}
stop() {
  "$node" "$client" --socket /run/cloister/socket daemon stop
}
case "$1" in
  start) start ;;
  stop) stop ;;
  restart) stop; start ;;
  reload) "$node" "$client" --socket /run/cloister/socket reload ;;
  status) "$node" "$client" --socket /run/cloister/socket status ;;
  *) echo "usage: $0 start|stop|restart|reload|status" >&2; exit 2 ;;
esac
`;
}

/** For ExecStart; systemd expands percent signs and dollars. Source: systemd.service(5), "Command lines". */
function quote(path: string): string {
  return `"${path.replace(/[\\"]/g, "\\$&").replaceAll("%", "%%").replaceAll("$", "$$$$")}"`;
}

function shellQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
