// swift-tools-version: 6.2
import PackageDescription

// Every target is strict from the first commit: Swift 6 language mode, warnings are errors.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

let package = Package(
    name: "zzsync",
    products: [.executable(name: "zzsync", targets: ["zzsync"])],
    dependencies: [
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/LebJe/TOMLKit", from: "0.6.0"),
    ],
    targets: [
        // C libraries, each behind one small module.
        .systemLibrary(name: "CMalloc", path: "Sources/Shared/System/CMalloc"),
        .systemLibrary(name: "CZstd", path: "Sources/Shared/System/CZstd", providers: [.apt(["libzstd-dev"])]),
        .target(
            name: "CSQLiteConfig", path: "Sources/Shared/System/CSQLiteConfig",
            linkerSettings: [.linkedLibrary("sqlite3")]),
        .target(name: "CCurl", path: "Sources/Shared/System/CCurl", linkerSettings: [.linkedLibrary("curl")]),
        .target(
            name: "CWorkbook", path: "Sources/Shared/System/CWorkbook",
            linkerSettings: [.linkedLibrary("zip"), .linkedLibrary("expat"), .linkedLibrary("xlsxwriter")]),
        // The catalogue's TOML and code tables, embedded by the C compiler.
        .target(name: "CatalogueData", path: "Sources/Shared/Catalogue", exclude: ["forms", "codes", "embedded.inc", "index.sh", "small.zdict"]),

        .target(
            name: "Shared",
            dependencies: [
                "CZstd", "CCurl", "CSQLiteConfig", "CWorkbook", "CatalogueData",
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "GRDBSQLite", package: "GRDB.swift"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "TOMLKit", package: "TOMLKit"),
            ],
            path: "Sources/Shared", exclude: ["System", "Catalogue"], swiftSettings: strict),
        .target(
            name: "Node", dependencies: ["Shared"], path: "Sources/Node", swiftSettings: strict),
        .target(
            name: "Hub",
            dependencies: [
                "Shared",
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdTLS", package: "hummingbird"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            path: "Sources/Hub", swiftSettings: strict),
        .executableTarget(
            name: "zzsync",
            dependencies: [
                "Node", "Hub", "Shared", "CMalloc",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "TOMLKit", package: "TOMLKit"),
            ],
            path: "Sources/zzsync", swiftSettings: strict,
            // A static Swift program has 130,000 relative relocations: packed (glibc 2.36, Debian 12), 3 MB less of a node's memory.
            linkerSettings: [.unsafeFlags(["-use-ld=lld", "-Xlinker", "-z", "-Xlinker", "pack-relative-relocs"], .when(configuration: .release))]),

        .executableTarget(
            name: "zzsync-bench",
            dependencies: [
                "Shared", "Node", "Hub", "CZstd",
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "GRDBSQLite", package: "GRDB.swift"),
            ],
            path: "Tests/bench", swiftSettings: strict),
        .testTarget(
            name: "ZzsyncTests", dependencies: ["Shared", "Node", "Hub", "zzsync"],
            path: "Tests", exclude: ["bench", "demo", "models", "workbooks", "Golden", "long.sh"], swiftSettings: strict),
    ]
)
