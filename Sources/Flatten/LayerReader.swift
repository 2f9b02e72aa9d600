// SPDX-License-Identifier: Apache-2.0

import Blocks
import ChunkStore
import Ext4
import OCI

/// What is left of the limits, and what has been counted, over all layers of one import.
struct ImportBudget {
    let limits: ImportLimits
    var counters = ImportCounters()
    /// Lengths of all files, holes among them.
    var lengthBytes: UInt64 = 0
}

/// Reads one layer: builds its tree, and hands the data of its visible files to the store.
final class LayerReader {
    private let reader: TarReader
    private let session: IngestSession
    private let layerName: String
    private var current: [LayerTree.Piece] = []
    private lazy var cutter = FileCutter { [unowned self] (fileBlock, bytes) throws(FlattenError) in
        try store(fileBlock, bytes)
    }

    init(
        _ stream: LayerStream, into session: IngestSession,
        onBuffer: @escaping () throws(FlattenError) -> Void
    ) throws(FlattenError) {
        self.session = session
        layerName = stream.layer.name
        reader = try TarReader(stream, onBuffer: onBuffer)
    }

    /// Reads all entries; when it returns, length and digests of the layer have been checked.
    func read(over merged: MergedTree, _ budget: inout ImportBudget) throws(FlattenError) -> LayerTree {
        var layer = LayerTree(over: merged)
        while let entry = try reader.next() {
            try count(entry, &budget)
            let file: (node: FileTree.NodeID, isVisible: Bool)?
            do throws(BadField) { file = try place(entry, in: &layer, merged) } catch {
                throw .badEntry(layer: layerName, entry: printable(entry.name), reason: error.reason)
            }
            guard let file, case .file(let sizeBytes) = entry.kind, sizeBytes > 0 else { continue }
            if file.isVisible {
                layer.setStored(file.node, pieces: try ingest(entry, sizeBytes, &budget))
            } else {
                budget.counters.shadowedBytes += sizeBytes
            }
        }
        try reader.finish()
        return layer
    }

    /// Reads the layer once more, for the data of some files that turned out to be visible.
    func fill(
        _ nodes: [FileTree.NodeID], of layer: inout LayerTree, _ budget: inout ImportBudget
    ) throws(FlattenError) {
        var wanted: [UInt32: FileTree.NodeID] = [:]
        for node in nodes {
            if let content = layer.content(of: node) { wanted[content.ordinal] = node }
        }
        while let entry = try reader.next() {
            guard let node = wanted[entry.ordinal], case .file(let sizeBytes) = entry.kind else { continue }
            layer.setStored(node, pieces: try ingest(entry, sizeBytes, &budget))
            budget.counters.shadowedBytes -= min(budget.counters.shadowedBytes, sizeBytes)
        }
        try reader.finish()
    }

    private func count(_ entry: TarEntry, _ budget: inout ImportBudget) throws(FlattenError) {
        budget.counters.entries += 1
        if budget.counters.entries > budget.limits.entryCount {
            let reason = "the image has more than \(budget.limits.entryCount) entries"
            throw .limit("layer \(layerName)", reason: reason)
        }
        guard case .file(let sizeBytes) = entry.kind else { return }
        budget.lengthBytes += sizeBytes
        if budget.lengthBytes > budget.limits.totalBytes {
            let reason = "with it the files of the image have more than \(budget.limits.totalBytes) bytes"
            throw .badEntry(layer: layerName, entry: printable(entry.name), reason: reason)
        }
    }

    /// Puts the entry into the layer's tree; nil for what is no file.
    private func place(
        _ entry: TarEntry, in layer: inout LayerTree, _ merged: MergedTree
    ) throws(BadField) -> (node: FileTree.NodeID, isVisible: Bool)? {
        let path = try EntryPath.components(entry.name)
        guard let name = path.last else {
            if entry.kind != .directory { throw BadField("the root of a layer is a directory") }
            layer.setRoot(entry.attributes)
            return nil
        }
        let whiteout = try Whiteout(path)
        if whiteout == .ignored { return nil }
        let directory = try layer.directory(path.dropLast(), for: entry, merged)
        switch whiteout {
        case .opaque: layer.hideAllLower(in: directory)
        case .name(let hidden): layer.hideLower(hidden, in: directory)
        case .ignored: break
        case .none:
            let node = try layer.add(entry, name: name, in: directory, merged)
            guard case .file = entry.kind else { return nil }
            return (node, merged.shows(name, in: layer.counterpart(of: directory)))
        }
        return nil
    }

    // MARK: - Data

    private func ingest(
        _ entry: TarEntry, _ sizeBytes: UInt64, _ budget: inout ImportBudget
    ) throws(FlattenError) -> [LayerTree.Piece] {
        current.removeAll(keepingCapacity: true)
        cutter.begin(sizeBytes: sizeBytes)
        var count: UInt64 = 0
        try reader.readData { (piece) throws(FlattenError) in
            if !cutter.accepts(piece) {
                throw .badEntry(
                    layer: layerName, entry: printable(entry.name),
                    reason: "its sparse map overlaps or leaves the file")
            }
            try cutter.add(piece)
            count += UInt64(piece.bytes.count)
        }
        try cutter.end()
        budget.counters.fileBytes += count
        return current
    }

    private func store(_ fileBlock: UInt32, _ bytes: UnsafeRawBufferPointer) throws(FlattenError) {
        do throws(ChunkStoreError) {
            current.append(LayerTree.Piece(fileBlock: fileBlock, ticket: try session.addLater(bytes)))
        } catch {
            throw .store(error)
        }
    }
}
