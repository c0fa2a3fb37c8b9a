// What left this machine, written outside the database before it leaves: a database that knows less than its anchor was put
// back from a copy.
//
// Two designs: one file for the home (one fsync a sync, but a hub with 5,000 schools writes all of them again for each), or a
// small file a scope. The second: a scope that has nothing to send costs nothing. A file that is gone or unreadable says
// nothing: the hello still compares with what the hub holds.

import Foundation

package struct Anchor: Codable, Hashable, Sendable {
    /// The incarnation that sent it.
    package var site: String
    /// The last seq that left, and the chain hash there, base64.
    package var seq: Int64
    package var chain: String

    private static func folder(_ home: String) -> String { home + "/anchor" }
    private static func path(_ home: String, _ scope: ScopeID) -> String { "\(folder(home))/\(scope).json" }
    private static let bytesMax = 4_096

    package static func load(_ home: String, _ scope: ScopeID) -> Anchor? {
        guard case .success(let bytes?) = DurableFile.read(path(home, scope), bytesMax: bytesMax) else { return nil }
        return WireJSON.decode(Anchor.self, from: bytes)
    }

    /// Durable when it returns; only then may a segment leave.
    package func save(_ home: String, _ scope: ScopeID) throws(Failure) {
        do {
            try FileManager.default.createDirectory(atPath: Self.folder(home), withIntermediateDirectories: true)
        } catch {
            throw Failure(
                .damaged, "The folder \(Self.folder(home)) cannot be made (\(error.localizedDescription)).",
                next: "Check the disk and the permissions of the home, then repeat; nothing was sent.")
        }
        try DurableFile.write(WireJSON.encode(self), to: Self.path(home, scope), mode: 0o600)
    }

    /// A new incarnation has sent nothing yet.
    package static func clear(_ home: String) { try? FileManager.default.removeItem(atPath: folder(home)) }
}
