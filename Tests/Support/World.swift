// A temporary folder with nodes and hubs in it; it is removed, and every hub in it stopped, when the world is let go.

import Foundation
import Glibc
import Shared
import Synchronization
import Testing

final class World: Sendable {
    let folder: String

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("zzsync-test-\(UUID())").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    /// A world that a whole suite shares: statics are never let go, so its folder is removed at the process's end.
    static func shared() throws -> World {
        let world = try World()
        leftOver.withLock { $0.append(world.folder) }
        _ = atEnd
        return world
    }
    private static let leftOver = Mutex<[String]>([])
    private static let atEnd: Int32 = atexit {
        for folder in World.leftOver.withLock({ $0 }) { try? FileManager.default.removeItem(atPath: folder) }
    }

    func path(_ name: String) -> String { "\(folder)/\(name)" }

    static let school = "3641990001"
    static let otherSchool = "3641990002"

    /// A node of a school, made by `init`.
    func node(_ name: String, school: String = World.school) async throws -> Replica {
        let node = Replica(world: self, home: path(name), isHub: false)
        try await node("init", "--school", school, "--type", "vocational_continuing", "--name", "第一职业学校").expect(0)
        return node
    }

    /// A hub, made by `hub init`; not serving yet.
    func hub(_ name: String, level: String = "province", code: String = "41") async throws -> Replica {
        let hub = Replica(world: self, home: path(name), isHub: true)
        try await hub("init", "--level", level, "--code", code, "--name", "河南省").expect(0)
        return hub
    }
}

/// A node or a hub: its folder and its commands. Keeps its world alive.
struct Replica: Sendable {
    let world: World
    let home: String
    let isHub: Bool

    var store: String { home + (isHub ? "/hub.db" : "/node.db") }

    func words(_ words: [String]) -> [String] { (isHub ? ["hub"] : []) + words + ["--home", home] }

    @discardableResult func callAsFunction(_ words: String...) async throws -> Ended { try await run(words) }

    @discardableResult func run(_ words: [String], environment: [String: String] = [:]) async throws -> Ended {
        try await Programs.run(Programs.zzsync, self.words(words), environment: environment)
    }

    func start(_ words: String...) throws -> Child { try Child(Programs.zzsync, self.words(words)) }

    /// By the plain sqlite3 program, as any other program would do it.
    @discardableResult
    func sql(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) async throws -> String {
        let ended = try await Programs.run(
            Programs.sqlite3, ["-batch", "-init", "/dev/null", "-cmd", ".timeout 20000", store, text])
        #expect(ended.code == 0, "\(text): \(ended.err)", sourceLocation: sourceLocation)
        return ended.out.trimmingCharacters(in: .newlines)
    }

    func count(_ table: String, _ filter: String = "true") async throws -> Int {
        let text = try await sql("SELECT count(*) FROM \(table) WHERE \(filter)")
        return try #require(Int(text))
    }

    /// A full valid row of the form 专业设置.
    static func major(_ number: String, name: String = "计算机应用") -> [String] {
        [
            "general.major", "major_number=\(number)", "major_catalogue=2021", "major_code=710201", "major_name=\(name)",
            "schooling_length=3", "established_month=2005-09", "major_status=1",
        ]
    }

    @discardableResult
    func putMajor(_ number: String, name: String = "计算机应用", sourceLocation: SourceLocation = #_sourceLocation) async throws -> Ended {
        try await run(["put"] + Self.major(number, name: name)).expect(0, sourceLocation: sourceLocation)
    }

    /// Writes an invite of this hub to a file of the world.
    func invite(_ name: String, school: String = World.school, _ more: String...) async throws -> String {
        let file = world.path(name)
        try await run(
            ["invite", "--school", school, "--name", "第一职业学校", "-o", file] + more
        ).expect(0)
        return file
    }

    /// A number of `status --json`.
    func status(_ key: String, sourceLocation: SourceLocation = #_sourceLocation) async throws -> Int {
        let document = try await self("status", "--json").expect(0, sourceLocation: sourceLocation).json(sourceLocation: sourceLocation)
        return try #require(document[key] as? Int, "status has no number \(key)", sourceLocation: sourceLocation)
    }

    /// The digest of a form, as the replica prints it.
    func digest(_ form: String = "general.major", school: String = World.school) async throws -> String {
        let document = try await run(["digest", "--json"] + (isHub ? ["--school", school] : [])).expect(0).json()
        let entry = (document["forms"] as? [String: [String: Any]])?[form]
        return try #require(entry?["digest"] as? String)
    }

    func keys() throws -> SiteKeys { try SiteKeys.load(from: ParentLink.keysPath(home)) }
}

/// `hub serve` on a free port; ends with this object.
final class HubProcess: Sendable {
    let hub: Replica
    let process: Child
    let url: String

    init(_ hub: Replica, _ more: String..., listen: String = "127.0.0.1:0", environment: [String: String] = [:]) async throws {
        self.hub = hub
        process = try Child(Programs.zzsync, hub.words(["serve", "--listen", listen] + more), environment: environment, secondsMax: 300)
        url = try await process.line("listening on ")
    }

    var port: UInt16 { UInt16(url.split(separator: ":").last!)! }

    func stop() async { await process.stop() }
}
