// SPDX-License-Identifier: Apache-2.0

import Base
import ChunkStore
import Ext4
import Flatten
import OCI
import Volumes

extension Driver {
    /// Begins an import.
    ///
    /// What can be told at once is told at once; the rest happens on a thread of its own.
    func startImport(_ request: ImportRequest) throws(Failure) -> OperationInfo {
        let source: ImageSource
        var platform: Platform?
        do {
            source = try ImageSource.parse(request.source)
            if let text = request.platform { platform = try Platform(parsing: text) }
            try Names.checkImage(request.name)
            if let kind = store.kind(of: request.name) { throw VolumeError.nameTaken(request.name, by: kind) }
        } catch {
            throw Failure(error)
        }
        return try operations.start("import", of: request.name) { [self, platform] operation in
            try runImport(source, platform, request.name, operation)
        }.info
    }

    private func runImport(
        _ source: ImageSource, _ platform: Platform?, _ name: String, _ operation: Operation
    ) throws {
        operation.progress(phase: "reading the manifest", doneBytes: 0, totalBytes: 0)
        let image = try source.resolve(platform: platform)
        let session = store.chunks.beginIngest()
        defer { session.release() }
        let flattened = try Importer.run(
            image, into: session, limits: configuration.importLimits,
            progress: { progress in
                operation.progress(
                    phase: "layer \(progress.layer) of \(progress.layerCount)", doneBytes: progress.doneBytes,
                    totalBytes: progress.totalBytes)
            },
            isCancelled: { operation.isCancelled })
        if operation.isCancelled { throw FlattenError.cancelled }
        operation.progress(phase: "storing", doneBytes: image.layerBytes, totalBytes: image.layerBytes)
        let (new, shared) = (session.newBytes, session.sharedBytes)
        let record = try store.addImage(
            name: name, map: flattened.map, configuration: flattened.configurationBytes,
            source: "\(source)", session: session)
        operation.succeed { info in
            info.image = Self.info(record)
            info.newBytes = new
            info.sharedBytes = shared
        }
    }
}
