// SPDX-License-Identifier: Apache-2.0

import Base
import BlockFS
import ChunkStore
import Distribution
import Ext4
import Flatten
import Glibc
import HTTP
import Mounts
import OCI
import Volumes

extension Failure {
    /// The one place where errors of the modules become answers of the control API.
    init(_ error: any Error) {
        switch error {
        case let failure as Failure: self = failure
        case let error as SystemError: self.init(error)
        case let error as MountsError: self.init(Self.code(error), "\(error)")
        case let error as VolumeError: self.init(Self.code(error), "\(error)")
        case let error as OCIError: self.init(Self.code(error), "\(error)")
        case let error as FlattenError: self.init(Self.code(error), "\(error)")
        case let error as ChunkStoreError: self.init(Self.code(error), "\(error)")
        case let error as DistributionError: self.init(Self.code(error), "\(error)")
        case let error as FetchFailure: self.init(.remote, "\(error)")
        case let error as HTTPError: self.init(.remote, "\(error)")
        case let error as BlockFSError: self.init(.unavailable, "\(error)")
        case let error as Ext4Error: self.init(.failed, "\(error)")
        default: self.init(.failed, "\(error)")
        }
    }

    init(_ error: SystemError) {
        let code = Self.code(error)
        self.init(code, code == .noSpace ? "\(error); free space on the disk that holds it" : "\(error)")
    }

    private static func code(_ error: SystemError) -> Code {
        switch error.code {
        case ENOSPC, EDQUOT: .noSpace
        case ENOENT, ENOTDIR: .notFound
        case EBUSY: .inUse
        case EEXIST: .exists
        default: .failed
        }
    }

    private static func code(_ error: MountsError) -> Code {
        switch error {
        case .system(let error): code(error)
        case .noFreeLoopDevice, .noDirectIO, .noRuntime: .unavailable
        case .notExt4, .freezeExpired: .failed
        case .alreadyMounted, .busy: .inUse
        case .notMounted: .notFound
        case .unknownUser, .unknownGroup, .invalid, .noCommand: .invalid
        case .commandNotFound: .commandNotFound
        case .commandNotExecutable: .commandNotExecutable
        }
    }

    private static func code(_ error: VolumeError) -> Code {
        switch error {
        case .badName, .invalidRange: .invalid
        case .nameTaken: .exists
        case .notFound: .notFound
        case .inUse, .rootLocked: .inUse
        case .newerFormat: .unavailable
        case .system(let error): code(error)
        case .chunks(let error): code(error)
        case .absent, .notFetched: .remote
        case .broken, .flushFailed, .catalog: .failed
        }
    }

    private static func code(_ error: FlattenError) -> Code {
        switch error {
        case .image(let error): code(error)
        case .store(let error): code(error)
        case .system(let error): code(error)
        case .cancelled: .cancelled
        default: .badSource
        }
    }

    private static func code(_ error: ChunkStoreError) -> Code {
        switch error {
        case .full: .noSpace
        case .system(let error), .notDurable(let error): code(error)
        default: .failed
        }
    }

    private static func code(_ error: DistributionError) -> Code {
        switch error {
        case .badReference, .readOnlyPlace, .badExport: .invalid
        case .unavailable: .unavailable
        case .notFound: .notFound
        case .untrusted: .denied
        case .notAnImage, .badArtifact: .badSource
        case .unreachableChunks, .remote: .remote
        case .registry(let error): code(error)
        case .chunks(let error): code(error)
        case .volumes(let error): code(error)
        case .flatten(let error): code(error)
        case .system(let error): code(error)
        case .cancelled: .cancelled
        }
    }

    private static func code(_ error: OCIError) -> Code {
        switch error {
        case .badSource, .badReference, .badPlatform: .invalid
        case .system(let error): code(error)
        case .noSuchTag, .noSuchPlatform, .notFound: .notFound
        case .denied: .denied
        case .unavailable, .refused, .badAnswer: .remote
        case .stopped: .cancelled
        default: .badSource
        }
    }
}
