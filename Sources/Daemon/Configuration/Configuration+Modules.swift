// SPDX-License-Identifier: Apache-2.0

import ChunkStore
import Distribution
import Flatten
import HTTP
import OCI

extension Configuration {
    /// The settings as the modules take them.
    var transferLoop: TransferLoopConfiguration {
        let proxy = self[Settings.proxy]
        return TransferLoopConfiguration(
            maximumConnections: self[Settings.connections],
            maximumPerHost: self[Settings.connectionsPerHost], proxy: proxy.isEmpty ? nil : proxy,
            userAgent: "slacker/\(Version.program)")
    }

    var registries: RegistrySettings {
        var settings = RegistrySettings()
        settings.plainHTTPHosts = Set(self[Settings.plainHTTP])
        let directory = self[Settings.certificatesDirectory]
        settings.certsDirectory = directory.isEmpty ? nil : directory
        let files = self[Settings.credentialFiles]
        settings.credentialFiles = files.isEmpty ? nil : files
        settings.attempts = self[Settings.retries] + 1
        settings.connectTimeoutMs = Int(self[Settings.connectSeconds] * 1000)
        settings.stallTimeoutMs = Int(self[Settings.stallSeconds] * 1000)
        return settings
    }

    var fetchLimits: FetchLimits {
        var limits = FetchLimits()
        limits.wantSeconds = self[Settings.waitSeconds]
        limits.stallSeconds = self[Settings.stallSeconds]
        limits.bufferBytes = Int(self[Settings.fetchMemory])
        limits.decoderThreads = self[Settings.decoderThreads]
        limits.demand.requests = self[Settings.demandRequests]
        limits.readAhead.requests = self[Settings.readAheadRequests]
        limits.background.requests = self[Settings.backgroundRequests]
        let largest = self[Settings.readAheadBytes]
        limits.readAheadWindow = min(largest, limits.readAheadWindow.lowerBound)...largest
        limits.eagerBytes = self[Settings.eagerBytes] == 0 ? nil : self[Settings.eagerBytes]
        let rate = self[Settings.fillRate]
        limits.background.bytesPerSecond = rate == 0 ? nil : rate
        return limits
    }

    /// - Parameter capacityBytes: of the file system with the state directory.
    func cacheLimits(capacityBytes: UInt64?) -> CacheLimits {
        let maximum = self[Settings.cacheBytes]
        return CacheLimits(
            maximumBytes: maximum == 0 ? nil : maximum,
            minimumFreeBytes: min(self[Settings.cacheFree], (capacityBytes ?? .max) / 10))
    }

    var importLimits: ImportLimits {
        ImportLimits(
            totalBytes: self[Settings.importBytes], entryCount: UInt64(self[Settings.importEntries]),
            ratio: UInt64(self[Settings.importRatio]))
    }

    var sources: SourceSettings {
        var tls = TLSOptions()
        tls.certificateAuthorities = self[Settings.authorities]
        let (key, secret) = (self[Settings.s3AccessKey], self[Settings.s3SecretKey])
        let token = self[Settings.s3SessionToken]
        return SourceSettings(
            tls: tls,
            s3Credentials: key.isEmpty
                ? nil
                : S3Credentials(
                    accessKey: key, secretKey: secret, sessionToken: token.isEmpty ? nil : token))
    }

    /// A reference to S3 with the server and region that are configured, where it names none.
    func completed(_ reference: String) -> String {
        guard reference.hasPrefix("s3://"), let hash = reference.lastIndex(of: "#") else { return reference }
        var place = String(reference[..<hash])
        for (name, setting) in [("endpoint", Settings.s3Endpoint), ("region", Settings.s3Region)] {
            let value = self[setting]
            if value.isEmpty || place.contains("?\(name)=") || place.contains("&\(name)=") { continue }
            place += (place.contains("?") ? "&" : "?") + "\(name)=\(percentEncoded(value))"
        }
        return place + reference[hash...]
    }

    var blockImagePolicy: BlockImagePolicy { .places(self[Settings.blockImages]) }
}
