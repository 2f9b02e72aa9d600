// SPDX-License-Identifier: Apache-2.0

/// The shell scripts that make layers; each runs in mount and process namespaces of its own.
///
/// So whatever they mount and start is gone when they end, however they end.
enum LayerScripts {
    /// The words that run a script in namespaces of its own.
    static func command(_ script: String, _ arguments: [String]) -> [String] {
        [
            "unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child",
            "--mount-proc", "sh", "-euc", common + script, "hellobench",
        ] + arguments
    }

    /// Arguments: the upper, work and merged folders and the lower ones, as for all of these scripts; then apt's
    /// packages and lists, a command before and one after, and names of packages.
    static let install =
        setUp + """
            before=$7 after=$8
            begin "$root" "$5" "$6"
            shift 8
            [ -z "$before" ] || inside "$root" /bin/sh -ec "$before"
            apt "$root" install "$@"
            [ -z "$after" ] || inside "$root" /bin/sh -ec "$after"
            clean "$root"
            """

    /// Then apt's packages and lists, a system whose apt fetches packages, a command after, and names of packages.
    static let unpack =
        setUp + """
            after=$8
            overlay "$7" "$work/system-upper" "$work/system-work" "$work/system"
            begin "$work/system" "$5" "$6"
            mount --bind "$root" "$work/system/mnt"
            shift 8
            inside "$work/system" /bin/sh -ec 'mkdir /tmp/fetched
                cd /tmp/fetched
                apt-get -qq -o APT::Sandbox::User=root download "$@"
                for package in *.deb; do dpkg-deb --fsys-tarfile "$package" | tar -xp -C /mnt; done' sh "$@" >&2
            shell=/bin/sh
            [ -e "$root/bin/sh" ] || shell="/bin/busybox sh"
            [ -z "$after" ] || inside "$root" $shell -ec "$after"
            """

    /// Then a command.
    static let run =
        setUp + """
            special "$root"
            inside "$root" /bin/sh -ec "$5"
            clean "$root"
            """

    /// Then the suite; the lower folder is an empty one.
    static let bootstrap =
        setUp + """
            mmdebstrap --mode=root --variant=minbase --format=directory --quiet \\
                --dpkgopt=force-unsafe-io "$5" "$root" >&2
            rm -f "$root/etc/hostname" "$root/etc/resolv.conf"
            find "$root/dev" "$root/run" -mindepth 1 -delete
            # An engine that brings none of its own has this one.
            printf '127.0.0.1 localhost\\n::1 localhost\\n' >"$root/etc/hosts"
            clean "$root"
            """

    /// Then apt's packages and lists; which packages there are goes into the latter.
    static let update =
        setUp + """
            begin "$root" "$5" "$6"
            apt "$root" update
            """

    private static let setUp =
        """
        upper=$1 work=$2 root=$3 lower=$4
        overlay "$lower" "$upper" "$work/work" "$root"

        """

    private static let common =
        #"""
        export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
        umask 022

        # What is written need not survive a power cut before all is done: volatile leaves every sync out.
        overlay() {
            mkdir -p "$2" "$3" "$4"
            mount -t overlay overlay -o "lowerdir=$1,upperdir=$2,workdir=$3,volatile,redirect_dir=off,metacopy=off" "$4"
        }

        # Devices, processes and folders for what shall leave no trace.
        special() {
            mkdir -p "$1/dev" "$1/proc" "$1/run" "$1/tmp" "$1/sys"
            mount -t tmpfs -o mode=755 tmpfs "$1/dev"
            for device in null zero full random urandom tty; do
                : >"$1/dev/$device"
                mount --bind "/dev/$device" "$1/dev/$device"
            done
            ln -s /proc/self/fd "$1/dev/fd"
            mkdir "$1/dev/shm" "$1/dev/pts"
            mount -t proc proc "$1/proc"
            mount -t tmpfs -o mode=755 tmpfs "$1/run"
            mkdir -m 1777 "$1/run/lock"
            mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
        }

        begin() {
            special "$1"
            mount --bind "$2" "$1/var/cache/apt/archives"
            mount --bind "$3" "$1/var/lib/apt/lists"
            cat /etc/resolv.conf >"$1/etc/resolv.conf"
            printf '#!/bin/sh\nexit 101\n' >"$1/usr/sbin/policy-rc.d"
            chmod 755 "$1/usr/sbin/policy-rc.d"
        }

        inside() {
            target=$1
            shift
            env -i PATH="$PATH" LC_ALL=C.UTF-8 HOME=/root DEBIAN_FRONTEND=noninteractive \
                ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
                chroot "$target" "$@" </dev/null
        }

        apt() {
            target=$1
            verb=$2
            shift 2
            inside "$target" apt-get --yes -qq -o APT::Install-Recommends=false -o APT::Sandbox::User=root \
                -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o Dpkg::Use-Pty=0 \
                -o Dpkg::Options::=--force-unsafe-io -o Acquire::Languages=none -o Acquire::Retries=3 \
                "$verb" "$@" >&2
        }

        # Takes away what differs from one installation to the next: logs, caches, backups, keys, dates.
        clean() {
            (
                cd "$1"
                rm -f etc/resolv.conf usr/sbin/policy-rc.d etc/.pwd.lock etc/passwd- etc/group- etc/shadow- \
                    etc/gshadow- etc/subuid- etc/subgid- var/cache/ldconfig/aux-cache var/lib/dbus/machine-id \
                    var/lib/dpkg/*-old var/lib/dpkg/lock* var/cache/debconf/*-old var/lib/ucf/*.0 var/lib/apt/*lock \
                    etc/ssl/private/ssl-cert-snakeoil.key etc/ssl/certs/ssl-cert-snakeoil.pem
                [ ! -e etc/machine-id ] || : >etc/machine-id
                [ ! -e etc/shadow ] || sed -i -E 's/^([^:]*:[^:]*):[0-9]+:/\1:19675:/' etc/shadow
                for folder in var/log var/cache/fontconfig var/cache/man var/cache/apt; do
                    [ ! -d "$folder" ] || find "$folder" -xdev -type f -delete
                done
                [ ! -d etc/ssl/certs ] || find etc/ssl/certs -lname '*snakeoil*' -delete
                find . -xdev -type s -delete
                [ ! -e etc/ssl/certs/java/cacerts ] || settle_key_store etc/ssl/certs/java/cacerts
            )
        }

        # A Java key store notes when each certificate came in: every one gets the same time, and the store a new
        # checksum. mmdebstrap has brought Perl here.
        settle_key_store() {
            perl -MDigest::SHA=sha1 -e '
                my $path = shift;
                open my $in, "<:raw", $path or exit;
                my $store = do { local $/; <$in> };
                my ($magic, $version, $count) = unpack "NNN", $store;
                exit unless $magic == 0xfeedfeed && $version == 2;
                my $position = 12;
                for (1 .. $count) {
                    exit unless unpack("N", substr $store, $position) == 2;
                    $position += 6 + unpack "n", substr $store, $position + 4;
                    substr($store, $position, 8) = pack "Q>", 1700000000000;
                    $position += 8;
                    $position += 2 + unpack "n", substr $store, $position;
                    $position += 4 + unpack "N", substr $store, $position;
                }
                my $body = substr $store, 0, $position;
                open my $out, ">:raw", $path or die;
                print $out $body, sha1(pack("n*", unpack "C*", "changeit") . "Mighty Aphrodite" . $body);
            ' "$1"
        }

        """#
}
