// One run of the kill -9 tests: two hubs and three nodes, what was entered in them, and the processes that serve.

import Foundation
import Glibc

actor KillRun {
    struct Node {
        let name: String
        let school: String
    }
    /// What was entered in a school and acknowledged: what must be everywhere at the end.
    struct School {
        var portions: [[[String]]] = []
        var nextPortion = 0
        /// ID number → phone; department number → name.
        var students: [String: String] = [:]
        var departments: [String: String] = [:]
        /// Who may write a row: rows that two nodes change apart would open cases, which is another test's matter.
        var owner: [String: String] = [:]
        var scope: Int64 = 0
    }
    struct Server {
        var process: Child
        var port: Int
    }

    static let student = "general.student.basic"
    static let department = "general.school.department"
    static let names = ["3641990001": "示例市第一中等专业学校", "3641990002": "示例市第二中等专业学校"]
    static let type = "vocational_continuing"

    let folder: String
    let seed: UInt64
    let isLong: Bool
    var random: SeededGenerator
    let nodes = [
        Node(name: "A1", school: "3641990001"), Node(name: "A2", school: "3641990001"), Node(name: "B1", school: "3641990002"),
    ]
    var schools: [String: School] = [:]
    var servers: [String: Server] = [:]
    var writes = 0
    /// Seconds that the last whole run of a verb took.
    var pace: [String: Double] = [:]
    var journal: [String] = []
    /// Kills by step: those at a point as the marker says, those at a random moment as "random".
    var kills: [String: Int] = [:]

    init(seed: UInt64, isLong: Bool) throws {
        self.seed = seed
        self.isLong = isLong
        random = SeededGenerator(seed)
        folder = FileManager.default.temporaryDirectory.appending(path: "zzsync-kill-\(seed)-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    // MARK: the run

    func play() async throws {
        try await setUp()
        let plan = Blow.plan(isLong: isLong, &random)
        for (number, blow) in plan.enumerated() {
            journal.append("kill \(number + 1) of \(plan.count): \(blow)")
            try await strike(blow)
            if isLong, Int.random(in: 0..<3, using: &random) == 0 {
                for node in nodes { try await sync(node) }
            }
            if (number + 1) % 12 == 0 || number + 1 == plan.count {
                try await compare()
                for code in schools.keys.sorted() { changeHands(code) }
            }
        }
        try await inspect()
    }

    /// Ends what runs.
    ///
    /// - Returns: seed, place and what was done last, for the text of a failure.
    func stop(keep: Bool) async -> String {
        for server in servers.values {
            server.process.signal(SIGKILL)
            _ = await server.process.ended()
        }
        if !keep { try? FileManager.default.removeItem(atPath: folder) }
        return "seed \(seed) (ZZSYNC_SEED), folder \(folder)\n" + journal.suffix(12).joined(separator: "\n")
    }

    func setUp() async throws {
        let (portions, rows) = isLong ? (60, 40) : (20, 8)
        for (number, code) in Self.names.keys.sorted().enumerated() {
            let made = try await Programs.run(
                Programs.python,
                [
                    TestFiles.folder + "/workbooks/make_portions.py", workbooks(code), "--portions", "\(portions)",
                    "--rows", "\(rows)", "--school", code, "--seed", "\(Int(seed % 100_000) + number)",
                ])
            guard made.code == 0 else { throw KillTrouble("make_portions.py: \(made.words)") }
            let data = FileManager.default.contents(atPath: workbooks(code) + "/portions.json") ?? Data()
            schools[code] = School(portions: try JSONDecoder().decode([[[String]]].self, from: data))
        }
        for node in nodes {
            try await expect(
                0, node.name, ["init", "--school", node.school, "--type", Self.type, "--name", Self.names[node.school]!])
        }
        for (hub, level, code) in [("ministry", "ministry", "00"), ("province", "province", "41")] {
            try await expect(0, hub, ["hub", "init", "--level", level, "--code", code, "--name", hub])
            try await serve(hub)
        }
        try await expect(0, "ministry", ["hub", "invite", "--hub", "41", "--name", "province", "-o", folder + "/province.invite"])
        try await expect(0, "province", ["hub", "join", "--invite", folder + "/province.invite"])
        for node in nodes {
            let file = folder + "/\(node.name).invite"
            try await expect(
                0, "province",
                ["hub", "invite", "--school", node.school, "--type", Self.type, "--name", Self.names[node.school]!, "-o", file])
            try await expect(0, node.name, ["join", "--invite", file])
            try await importPortion(node)
        }
        let listed = try await ask("province", ["hub", "schools"])
        for school in listed["schools"] as? [[String: Any]] ?? [] {
            guard let code = school["code"] as? String, let text = school["scope"] as? String, let scope = UInt64(text, radix: 16)
            else { throw KillTrouble("hub schools: \(school)") }
            schools[code]?.scope = Int64(bitPattern: scope)
        }
    }

    // MARK: processes

    func start(
        _ home: String, _ words: [String], environment: [String: String] = [:], secondsMax: Int = 90
    ) throws -> Child {
        try Child(
            Programs.zzsync, words + ["--home", folder + "/" + home], environment: environment, secondsMax: secondsMax)
    }

    func zzsync(_ home: String, _ words: [String], environment: [String: String] = [:]) async throws -> Ended {
        let ending = try await start(home, words, environment: environment).ended()
        journal.append("\(home): \(words.joined(separator: " ")) → \(ending.code)")
        return ending
    }

    func expect(_ status: Int32, _ home: String, _ words: [String]) async throws {
        let ending = try await zzsync(home, words)
        guard ending.code == status else { throw KillTrouble("\(home): \(words) must exit with \(status): \(ending.words)") }
    }

    func ask(_ home: String, _ words: [String]) async throws -> [String: Any] {
        let ending = try await zzsync(home, words + ["--json"])
        guard ending.code == 0, let found = try JSONSerialization.jsonObject(with: Data(ending.out.utf8)) as? [String: Any] else {
            throw KillTrouble("\(home): \(words): \(ending.words)")
        }
        return found
    }

    func sqlite(_ store: String, _ sql: String) async throws -> String {
        let ending = try await Programs.run(
            Programs.sqlite3, ["-batch", "-init", "/dev/null", "-readonly", "-cmd", ".timeout 10000", folder + "/" + store, sql])
        guard ending.code == 0 else { throw KillTrouble("sqlite3 \(store): \(sql): \(ending.words)") }
        return ending.out.trimmingCharacters(in: .newlines)
    }

    /// Starts a hub; the first time on a port that the kernel gives to nobody unasked, then always on that one, which its
    /// invites name.
    func serve(_ hub: String, _ words: [String] = [], environment: [String: String] = [:]) async throws {
        var last = ""
        for _ in 0..<20 {
            let port = servers[hub]?.port ?? Int.random(in: 10_000..<30_000)
            let process = try start(
                hub, ["hub", "serve", "--listen", "127.0.0.1:\(port)"] + words, environment: environment, secondsMax: 1_800)
            let isListening = await process.lineIfAny("listening on ") != nil
            // An armed hub may find work, and its end, before it listens.
            if isListening || !environment.isEmpty {
                servers[hub] = Server(process: process, port: port)
                return
            }
            process.signal(SIGKILL)
            last = await process.ended().words
            if servers[hub] != nil { break }
        }
        throw KillTrouble("\(hub) does not listen: \(last)")
    }
}
