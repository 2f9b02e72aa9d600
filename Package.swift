// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import Foundation
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

/// Modules that touch no C memory at all: any unsafe construct in them is an error.
let pure: [SwiftSetting] = strict + [.strictMemorySafety()]

let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let flyingFox: Target.Dependency = .product(name: "FlyingFox", package: "FlyingFox")
let flyingSocks: Target.Dependency = .product(name: "FlyingSocks", package: "FlyingFox")
let toml: Target.Dependency = .product(name: "TOMLKit", package: "TOMLKit")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

/// gRPC is known to one module alone; without the trait it is neither fetched nor built.
func grpc(_ name: String, _ package: String) -> Target.Dependency {
    .product(name: name, package: package, condition: .when(traits: ["Containerd"]))
}

let grpcCore = grpc("GRPCCore", "grpc-swift-2")
let grpcTransport = grpc("GRPCNIOTransportHTTP2Posix", "grpc-swift-nio-transport")
let grpcProtobuf = grpc("GRPCProtobuf", "grpc-swift-protobuf")
let protobuf = grpc("SwiftProtobuf", "swift-protobuf")

func library(
    _ name: String, _ dependencies: [Target.Dependency], _ settings: [SwiftSetting] = strict
) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: strict)
}

/// Without pkgConfig, which would have the linker search the system's directories before those of our own targets.
func system(_ name: String, apt: String) -> Target {
    .systemLibrary(name: name, providers: [.apt([apt])])
}

let package = Package(
    name: "slacker",
    products: [
        .executable(name: "slacker", targets: ["slacker"]),
        .executable(name: "hellobench", targets: ["hellobench"]),
    ],
    traits: [
        .trait(name: "Containerd", description: "Serve containerd's snapshots API, which needs gRPC."),
        .default(enabledTraits: ["Containerd"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
        .package(url: "https://github.com/swhitty/FlyingFox", exact: "0.27.1"),
        .package(url: "https://github.com/LebJe/TOMLKit", exact: "0.6.0"),
        .package(url: "https://github.com/grpc/grpc-swift-2", exact: "2.4.3"),
        .package(url: "https://github.com/grpc/grpc-swift-nio-transport", exact: "2.9.2"),
        .package(url: "https://github.com/grpc/grpc-swift-protobuf", exact: "2.4.1"),
        .package(url: "https://github.com/apple/swift-protobuf", exact: "1.39.0"),
    ],
    targets: [
        system("CFuse3", apt: "libfuse3-dev"),
        system("CCurl", apt: "libcurl4-openssl-dev"),  // loaded on first use, never linked
        system("CZstd", apt: "libzstd-dev"),
        system("CZlib", apt: "zlib1g-dev"),
        .target(name: "CArchive"),  // libarchive, loaded on first use, never linked
        .target(name: "CLateCurl", exclude: ["link"]),
        .systemLibrary(name: "CLinux"),

        library("Base", ["CLinux", crypto, logging]),
        library("Blocks", ["Base"], pure),
        library("Ext4", ["Blocks", "Base"], pure),
        library("HTTP", ["Base", "CCurl", "CLinux"]),
        library("OCI", ["HTTP", "Base", "CLinux", toml]),
        library("ChunkStore", ["Blocks", "OCI", "HTTP", "Base", "CLinux", "CZstd", crypto]),
        library("Flatten", ["Ext4", "ChunkStore", "Blocks", "OCI", "Base", "CArchive", "CZlib", "CZstd"]),
        library("Volumes", ["ChunkStore", "Blocks", "Base", "CLinux", grdb, logging]),
        library("BlockFS", ["Volumes", "ChunkStore", "Blocks", "Base", "CFuse3", "CLinux"]),
        library(
            "Distribution",
            ["Volumes", "Flatten", "Ext4", "ChunkStore", "OCI", "HTTP", "Blocks", "Base", "CZstd"]),
        library("Mounts", ["Base", "OCI", "CLinux"]),
        library(
            "Daemon",
            [
                "Mounts", "BlockFS", "Distribution", "Volumes", "Flatten", "ChunkStore", "OCI", "HTTP",
                "Ext4", "Blocks",
                "Base",
                "CLinux", flyingFox, flyingSocks, logging, toml,
            ]),
        .target(
            name: "Containerd",
            dependencies: [
                "Daemon", "Volumes", "OCI", "Base", "CLinux", grpcCore, grpcTransport, grpcProtobuf, protobuf,
            ],
            exclude: ["Interface"], swiftSettings: strict),
        .executableTarget(
            name: "slacker",
            dependencies: [
                .target(name: "Containerd", condition: .when(traits: ["Containerd"])), "Daemon", "Mounts",
                "HTTP", "Base", "CLinux", "CLateCurl", arguments,
            ],
            swiftSettings: strict,
            // An empty libcurl stands there: see CLateCurl.
            linkerSettings: [.unsafeFlags(["-L", Context.packageDirectory + "/Sources/CLateCurl/link"])]),
        .executableTarget(
            name: "hellobench", dependencies: [arguments], path: "hellobench",
            resources: [.embedInCode("workloads")], swiftSettings: strict),

        .target(
            name: "TestSupport", dependencies: ["Base"], path: "Tests/TestSupport", swiftSettings: strict),
        tests("BaseTests", ["TestSupport", "Base"]),
        tests("BlocksTests", ["Blocks", "TestSupport", "Base"]),
        tests("Ext4Tests", ["Ext4", "Blocks", "Base", "CLinux"]),
        tests("HTTPTests", ["HTTP", "Base", "CCurl"]),
        tests("OCITests", ["OCI", "HTTP", "TestSupport", "Base"]),
        tests("ChunkStoreTests", ["ChunkStore", "OCI", "HTTP", "Blocks", "TestSupport", "Base"]),
        tests("FlattenTests", ["Flatten", "Ext4", "ChunkStore", "OCI", "Blocks", "Base"]),
        tests("VolumesTests", ["Volumes", "ChunkStore", "Blocks", "TestSupport", "Base", grdb]),
        tests("PowerCutTests", ["Volumes", "ChunkStore", "Blocks", "TestSupport", "Base"]),
        tests(
            "BlockFSTests", ["BlockFS", "Volumes", "ChunkStore", "Blocks", "TestSupport", "Base", "CLinux"]),
        tests(
            "DistributionTests",
            [
                "Distribution", "Volumes", "Flatten", "Ext4", "ChunkStore", "OCI", "HTTP", "TestSupport",
                "Blocks",
                "Base",
            ]),
        tests("MountsTests", ["Mounts", "OCI", "Base", "CLinux"]),
        tests(
            "DaemonTests",
            ["Daemon", "Distribution", "Mounts", "Volumes", "ChunkStore", "OCI", "HTTP", "Base"]),
        tests(
            "ContainerdTests",
            [
                "Containerd", "TestSupport", "Base", "CLinux", grpcCore, grpcTransport, grpcProtobuf,
                protobuf,
            ]),
        tests("HelloBenchTests", ["hellobench"]),
        .testTarget(
            name: "IntegrationTests",
            dependencies: [
                "Containerd", "TestSupport", "Base", grpcCore, grpcTransport, grpcProtobuf, protobuf,
            ],
            exclude: ["Interface"], swiftSettings: strict),
    ]
)

// Parsers for libFuzzer, built apart from everything else: see tools/fuzz.
if Context.environment["SLACKER_FUZZ_BUILD"] != nil {
    package.products.append(.library(name: "FuzzParsers", type: .dynamic, targets: ["FuzzParsers"]))
    package.targets.append(
        .target(
            name: "FuzzParsers",
            dependencies: ["Daemon", "Volumes", "Flatten", "Ext4", "ChunkStore", "OCI", "Blocks", "Base"],
            path: "Tests/Fuzz", swiftSettings: strict))
}
