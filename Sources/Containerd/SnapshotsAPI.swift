// SPDX-License-Identifier: Apache-2.0

/// Short names for what is generated from `Interface/services/snapshots.proto`.
enum SnapshotsAPI {
    typealias Service = Containerd_Services_Snapshots_V1_Snapshots
    typealias PrepareRequest = Containerd_Services_Snapshots_V1_PrepareSnapshotRequest
    typealias PrepareResponse = Containerd_Services_Snapshots_V1_PrepareSnapshotResponse
    typealias ViewRequest = Containerd_Services_Snapshots_V1_ViewSnapshotRequest
    typealias ViewResponse = Containerd_Services_Snapshots_V1_ViewSnapshotResponse
    typealias MountsRequest = Containerd_Services_Snapshots_V1_MountsRequest
    typealias MountsResponse = Containerd_Services_Snapshots_V1_MountsResponse
    typealias CommitRequest = Containerd_Services_Snapshots_V1_CommitSnapshotRequest
    typealias RemoveRequest = Containerd_Services_Snapshots_V1_RemoveSnapshotRequest
    typealias StatRequest = Containerd_Services_Snapshots_V1_StatSnapshotRequest
    typealias StatResponse = Containerd_Services_Snapshots_V1_StatSnapshotResponse
    typealias UpdateRequest = Containerd_Services_Snapshots_V1_UpdateSnapshotRequest
    typealias UpdateResponse = Containerd_Services_Snapshots_V1_UpdateSnapshotResponse
    typealias ListRequest = Containerd_Services_Snapshots_V1_ListSnapshotsRequest
    typealias ListResponse = Containerd_Services_Snapshots_V1_ListSnapshotsResponse
    typealias UsageRequest = Containerd_Services_Snapshots_V1_UsageRequest
    typealias UsageResponse = Containerd_Services_Snapshots_V1_UsageResponse
    typealias CleanupRequest = Containerd_Services_Snapshots_V1_CleanupRequest
    typealias Info = Containerd_Services_Snapshots_V1_Info
    typealias Kind = Containerd_Services_Snapshots_V1_Kind
    typealias Mount = Containerd_Types_Mount
}
