// Locks of a home inside one process that has other files open.

import Foundation
import Glibc
import Shared
import Testing

@Suite struct HomeLockTests {
    @Test func aSecondOneIsToldWhoHoldsIt() throws {
        try inTemporaryFolder { home in
            let first = try HomeLock(home, "sync")
            let failure = #expect(throws: Failure.self) { try HomeLock(home, "sync") }
            #expect(failure?.kind == .busy && failure?.what.contains("process \(getpid())") == true, "\(failure?.what ?? "")")
            withExtendedLifetime(first) {}
            _ = try HomeLock(home, "serve")
        }
    }

    /// A refused lock once closed its file twice, and so now and then a file that another thread had just opened: a hub's database, while
    /// its `serve` met a `forward` under way.
    @Test func aRefusalClosesNobodyElsesFile() async throws {
        let home = FileManager.default.temporaryDirectory.appendingPathComponent("zzsync-\(UUID())").path
        try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: home) }
        let first = try HomeLock(home, "forward")
        async let refused = Self.onItsOwnThread { (0..<20_000).count { _ in (try? HomeLock(home, "forward")) == nil } }
        let stolen = await Self.onItsOwnThread {
            (0..<60_000).count { _ in
                let file = open("/dev/null", O_RDONLY | O_CLOEXEC)
                return close(file) != 0
            }
        }
        #expect(await refused == 20_000 && stolen == 0)
        withExtendedLifetime(first) {}
    }

    private static func onItsOwnThread<T: Sendable>(_ body: @escaping @Sendable () -> T) async -> T {
        await withCheckedContinuation { continuation in Thread.detachNewThread { continuation.resume(returning: body()) } }
    }
}
