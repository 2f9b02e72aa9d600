// SPDX-License-Identifier: Apache-2.0

/// The table of settings: file, environment, flags, `slacker config` and docs/configuration.md follow it.
enum Settings {
    static let storageRoot = Setting.path(
        "storage.root", Places.defaultRoot, variable: "SLACKER_ROOT",
        "What must survive: catalog, chunks, block maps, deltas.")
    static let storageRun = Setting.path(
        "storage.run", Places.defaultRun, variable: "SLACKER_RUN",
        "What a restart of the machine may take: sockets, mounts, containers.")

    static let plainHTTP = Setting.list(
        "registries.plain_http", [],
        "Registries that are spoken to without TLS, `HOST` or `HOST:PORT`; loopback addresses always may be.")
    static let certificatesDirectory = Setting.path(
        "registries.certs_dir", "/etc/containerd/certs.d",
        "Directory with `HOST/hosts.toml`, as containerd has it: mirrors, authorities, client certificates.")
    static let credentialFiles = Setting.paths(
        "registries.credential_files",
        "Files with credentials as Docker keeps them; empty for the usual places.")
    static let blockImages = Setting.list(
        "registries.block_images", ["*"],
        "Places whose block images may be mounted, `HOST`, `HOST/REPO`, `*` for all. The kernel mounts the "
            + "file system of such an image, so name only those you trust.")

    static let proxy = Setting.text(
        "network.proxy", "", "Proxy for all transfers, as an address; empty for that of the environment.")
    static let authorities = Setting.paths(
        "network.ca_files",
        "Certificate authorities of S3 and HTTP servers, beside the system's; registries have `certs_dir`."
    )
    static let connectSeconds = Setting.seconds(
        "network.connect_seconds", 10, in: 0.1...300, "How long a connection may take to stand.")
    static let stallSeconds = Setting.seconds(
        "network.stall_seconds", 10, in: 1...3600, "How long a transfer may go without a byte.")
    static let retries = Setting.integer(
        "network.retries", 4, in: 0...100, "Tries after a first one that failed, with growing pauses.")
    static let connections = Setting.integer(
        "network.connections", 128, in: 4...4096, "Connections that are kept, in all.")
    static let connectionsPerHost = Setting.integer(
        "network.connections_per_host", 24, in: 4...256, "Transfers that one host serves at the same time.")

    static let waitSeconds = Setting.seconds(
        "fetch.wait_seconds", 60, in: 1...86_400,
        "How long a read of a container waits for blocks that do not come, before it gets EIO.")
    static let fetchMemory = Setting.bytes(
        "fetch.memory", 48 << 20, in: (4 << 20)...(4 << 30),
        "Memory for bytes that have been received and are not stored yet.")
    static let decoderThreads = Setting.integer(
        "fetch.threads", 2, in: 1...64, "Threads that decompress, check and store what was fetched.")
    static let demandRequests = Setting.integer(
        "fetch.demand_requests", 64, in: 1...256, "Requests to one source for what containers wait for.")
    static let readAheadRequests = Setting.integer(
        "fetch.read_ahead_requests", 8, in: 1...256,
        "Requests to one source for what they will probably read next.")
    static let backgroundRequests = Setting.integer(
        "fetch.background_requests", 4, in: 1...256, "Requests to one source for fill.")
    static let readAheadBytes = Setting.bytes(
        "fetch.read_ahead", 8 << 20, in: (64 << 10)...(256 << 20),
        "How far reading ahead may go when a container reads on and on.")
    static let eagerBytes = Setting.bytes(
        "fetch.eager_bytes", 8 << 20, in: 0...(1 << 40),
        "An image of which containers had to wait for more than this, and still do, is fetched whole; 0 for "
            + "never."
    )

    static let fillPolicy = Setting.choice(
        "fill.policy", "idle", of: ["never", "idle", "now"],
        "When the rest of a lazily pulled image is fetched: never, when no container waits, or at once.")
    static let fillRate = Setting.bytes(
        "fill.rate", 0, in: 0...(1 << 40), "Bytes each second that fill may take; 0 for no limit.")
    static let fillIdleSeconds = Setting.seconds(
        "fill.idle_seconds", 5, in: 0...86_400,
        "With the policy idle: seconds without a read that had to wait.")

    static let cacheBytes = Setting.bytes(
        "cache.max_bytes", 0, in: 0...(1 << 50),
        "Bytes that chunks may take which could be fetched again; what is read least goes first; 0 for no "
            + "limit.")
    static let cacheFree = Setting.bytes(
        "cache.min_free", 1 << 30, in: 0...(1 << 50),
        "Bytes of the file system with the state directory, a tenth of it at most, below which such chunks go; "
            + "0 for never.")

    static let scrubRate = Setting.bytes(
        "scrub.rate", 16 << 20, in: 0...(1 << 40),
        "Bytes each second that are read to see whether chunks are still what they were; 0 for no limit.")
    static let scrubInterval = Setting.seconds(
        "scrub.interval", 7 * 86_400, in: 0...(366 * 86_400),
        "Seconds from the end of one such round to the next; 0 for none by itself.")

    static let importBytes = Setting.bytes(
        "import.max_bytes", 1 << 40, in: (1 << 20)...(1 << 50),
        "Plain bytes that the layers of an ordinary image may have, and likewise its files, holes counted.")
    static let importEntries = Setting.integer(
        "import.max_entries", 16 << 20, in: 1...(1 << 28),
        "Entries that the layers of an ordinary image may have; each costs some memory while it is read.")
    static let importRatio = Setting.integer(
        "import.max_ratio", 500, in: 0...(1 << 30),
        "Plain bytes that a layer of more than 1 GiB may have for each packed one; 0 for no limit.")

    static let s3Endpoint = Setting.text(
        "s3.endpoint", "", "Address of the S3 server, for references that name none; empty for that of AWS.")
    static let s3Region = Setting.text(
        "s3.region", "", "Region that requests are signed for, for references that name none.")
    static let s3AccessKey = Setting.text(
        "s3.access_key", "",
        "Access key; empty for what the AWS tools would use: AWS_ACCESS_KEY_ID and its companions in the "
            + "daemon's environment, then `~/.aws/credentials`.")
    static let s3SecretKey = Setting.secret("s3.secret_key", "The secret of that key.")
    static let s3SessionToken = Setting.secret("s3.session_token", "Token of temporary credentials.")

    static let hangSeconds = Setting.seconds(
        "daemon.hang_seconds", 10, in: 1...3600,
        "How long the daemon may leave requests without an answer before it is killed and another one started."
    )
    static let holdSeconds = Setting.seconds(
        "daemon.hold_seconds", 60, in: 1...86_400,
        "How long containers wait for a daemon when none can be started, before they get EIO.")

    static let logLevel = Setting.choice(
        "log.level", "info", of: ["trace", "debug", "info", "notice", "warning", "error", "critical"],
        "The least important lines that the daemon logs.")

    static let metricsListen = Setting.text(
        "metrics.listen", "",
        "`127.0.0.1:PORT` or `[::1]:PORT`, where `/metrics` is served for Prometheus; empty for nowhere but the "
            + "control socket.")

    static let runPull = Setting.choice(
        "run.pull", "missing", of: ["always", "missing", "never"],
        "Whether `run REF` asks the registry: always, when the image is not here, or never.")
    static let recordSeconds = Setting.seconds(
        "run.record_seconds", 20, in: 0...3600,
        "Seconds at the start of a container whose reads make a boot profile of an image that has none; 0 "
            + "for none.")

    /// All of them, in the order of the reference.
    static let all: [SettingKey] = [
        storageRoot.key, storageRun.key,
        plainHTTP.key, certificatesDirectory.key, credentialFiles.key, blockImages.key,
        proxy.key, authorities.key, connectSeconds.key, stallSeconds.key, retries.key, connections.key,
        connectionsPerHost.key,
        waitSeconds.key, fetchMemory.key, decoderThreads.key, demandRequests.key, readAheadRequests.key,
        backgroundRequests.key,
        readAheadBytes.key, eagerBytes.key,
        fillPolicy.key, fillRate.key, fillIdleSeconds.key,
        cacheBytes.key, cacheFree.key,
        scrubRate.key, scrubInterval.key,
        importBytes.key, importEntries.key, importRatio.key,
        s3Endpoint.key, s3Region.key, s3AccessKey.key, s3SecretKey.key, s3SessionToken.key,
        hangSeconds.key, holdSeconds.key,
        logLevel.key,
        metricsListen.key,
        runPull.key, recordSeconds.key,
        containerdSocket.key, containerdVolumeBytes.key,
    ]

    static let byPath = Dictionary(uniqueKeysWithValues: all.map { ($0.path, $0) })

    /// Names of the sections, in order.
    static let sections = all.reduce(into: [String]()) { if $0.last != $1.section { $0.append($1.section) } }
}
