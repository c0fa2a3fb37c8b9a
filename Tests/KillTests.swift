import Foundation
import Glibc
import Testing

@Suite("Kill -9")
struct KillTests {
    /// Two hubs and three nodes work while one of them after another is killed; at the end everybody holds what was entered.
    @Test(.timeLimit(.minutes(30)))
    func nothingIsLostWhereverAProcessIsKilled() async throws {
        let run = try KillRun(seed: KillCounts.seed, isLong: KillCounts.isLong)
        do {
            try await withTaskExecutorPreference(OwnQueue()) { try await run.play() }
        } catch {
            let told = await run.stop(keep: true)
            Issue.record("\(error)\n\(told)")
            return
        }
        _ = await run.stop(keep: false)
        let steps = await run.kills
        let (least, all) = KillCounts.isLong ? (3, 50) : (1, 10)
        for step in ["import", "seal", "push", "merge", "forward"] {
            #expect(steps[step] ?? 0 >= least, "kills at \(step), counted by its marker; seed \(KillCounts.seed)")
        }
        #expect(steps.values.reduce(0, +) >= all, "\(steps); seed \(KillCounts.seed)")
        print("kill -9: seed \(KillCounts.seed), \(steps.values.reduce(0, +)) kills:", steps.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", "))
    }
}

/// Who is killed, and at which point of the program; the point "random" is a moment that the seed gives.
private struct Blow: CustomStringConvertible {
    enum Victim: String {
        case node, province, ministry
        /// The command `hub forward`, and a hub that forwards by itself.
        case forward, forwarder
    }
    let victim: Victim
    let point: String
    var description: String { "\(point) at \(victim.rawValue)" }
    init(_ victim: Victim, _ point: String) {
        self.victim = victim
        self.point = point
    }

    static let everywhere: [Blow] = [
        Blow(.node, "import.stage"), Blow(.node, "import.write"), Blow(.node, "import.commit"),
        Blow(.node, "seal.write"), Blow(.node, "seal.commit"),
        Blow(.node, "push.sent"), Blow(.province, "push.part"), Blow(.province, "push.stored"),
        Blow(.province, "merge.write"), Blow(.province, "merge.commit"), Blow(.province, "merge.mark"),
        Blow(.node, "pull.page"),
        Blow(.forward, "forward.write"), Blow(.forward, "forward.commit"), Blow(.forward, "forward.sent"),
        Blow(.forward, "forward.page"), Blow(.forwarder, "forward.commit"), Blow(.forwarder, "forward.write"),
        Blow(.ministry, "push.part"), Blow(.ministry, "push.stored"), Blow(.ministry, "merge.write"),
        Blow(.ministry, "merge.commit"),
    ]
    static let random: [Blow] = [
        Blow(.node, "random"), Blow(.province, "random"), Blow(.forward, "random"), Blow(.ministry, "random"),
    ]

    /// Every step in both; every point, twice, in the long run.
    static func plan(isLong: Bool, _ random: inout SeededGenerator) -> [Blow] {
        if isLong {
            return (everywhere + everywhere + Blow.random + Blow.random + Blow.random).shuffled(using: &random)
        }
        var plan: [Blow] = []
        func pick(_ victims: [Victim], _ step: String) {
            plan.append(everywhere.filter { victims.contains($0.victim) && $0.point.hasPrefix(step) }.randomElement(using: &random)!)
        }
        pick([.node], "import")
        pick([.node], "seal")
        pick([.node], "push")
        pick([.province], "push")
        pick([.province], "merge")
        pick([.ministry], "merge")
        pick([.node], "pull")
        pick([.forward], "forward")
        pick([.forwarder], "forward")
        return (plan + [Blow(.node, "random"), Blow(.province, "random"), Blow(.forward, "random")]).shuffled(using: &random)
    }
}

private actor KillRun {
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

    private static let student = "general.student.basic"
    private static let department = "general.school.department"
    private static let names = ["3641990001": "示例市第一中等专业学校", "3641990002": "示例市第二中等专业学校"]
    private static let type = "vocational_continuing"

    private let folder: String
    private let seed: UInt64
    private let isLong: Bool
    private var random: SeededGenerator
    private let nodes = [
        Node(name: "A1", school: "3641990001"), Node(name: "A2", school: "3641990001"), Node(name: "B1", school: "3641990002"),
    ]
    private var schools: [String: School] = [:]
    private var servers: [String: Server] = [:]
    private var writes = 0
    /// Seconds that the last whole run of a verb took.
    private var pace: [String: Double] = [:]
    private var journal: [String] = []
    /// Kills by step: those at a point as the marker says, those at a random moment as "random".
    private(set) var kills: [String: Int] = [:]

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

    private func setUp() async throws {
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

    // MARK: entering

    private func workbooks(_ code: String) -> String { folder + "/workbooks-\(code)" }

    /// A few acknowledged writes of every kind.
    private func write(_ node: Node) async throws {
        for _ in 0..<Int.random(in: 1...(isLong ? 3 : 2), using: &random) {
            switch Int.random(in: 0..<10, using: &random) {
            case 0...1: try await importPortion(node)
            case 2...4: try await addDepartment(node)
            case 5: try await deleteStudent(node)
            default: try await editStudent(node)
            }
        }
    }

    private func own(_ node: Node) -> [String] {
        schools[node.school]!.students.keys.filter { schools[node.school]!.owner[$0] == node.name }.sorted()
    }

    private func editStudent(_ node: Node) async throws {
        guard let number = own(node).randomElement(using: &random) else { return try await addDepartment(node) }
        writes += 1
        let phone = "138\(String(10_000_000 + writes).suffix(8))"
        try await expect(0, node.name, ["put", Self.student, "id_number=\(number)", "phone=\(phone)", "--as", "li.na"])
        schools[node.school]!.students[number] = phone
    }

    private func deleteStudent(_ node: Node) async throws {
        let own = own(node)
        guard own.count > 4, let number = own.randomElement(using: &random) else { return try await addDepartment(node) }
        try await expect(0, node.name, ["delete", Self.student, number])
        schools[node.school]!.students[number] = nil
    }

    private func addDepartment(_ node: Node) async throws {
        writes += 1
        let (number, name) = ("K\(writes)", "第\(writes)教学系")
        try await expect(
            0, node.name,
            [
                "put", Self.department, "department_number=\(number)", "department_name=\(name)", "department_type=3",
                "established_month=2003-09",
            ])
        schools[node.school]!.departments[number] = name
    }

    private func importPortion(_ node: Node) async throws {
        guard let portion = takePortion(node) else { return try await addDepartment(node) }
        try await expect(0, node.name, importing(portion, node))
        acknowledge(portion, node)
    }

    private func importing(_ portion: Int, _ node: Node) -> [String] {
        ["import", Self.student, workbooks(node.school) + "/\(portion).xlsx", "--accept", "--as", "zhao.min"]
    }

    private func takePortion(_ node: Node) -> Int? {
        let next = schools[node.school]!.nextPortion
        guard next < schools[node.school]!.portions.count else { return nil }
        schools[node.school]!.nextPortion += 1
        return next
    }

    private func acknowledge(_ portion: Int, _ node: Node) {
        for row in schools[node.school]!.portions[portion] {
            schools[node.school]!.students[row[0]] = row[1]
            schools[node.school]!.owner[row[0]] = node.name
        }
    }

    /// After everybody holds everything, the nodes of a school write each other's rows.
    private func changeHands(_ code: String) {
        let names = nodes.filter { $0.school == code }.map(\.name)
        for number in schools[code]!.students.keys.sorted() {
            schools[code]!.owner[number] = names.randomElement(using: &random)!
        }
    }

    // MARK: killing

    private func strike(_ blow: Blow) async throws {
        let node = nodes.randomElement(using: &random)!
        switch (blow.victim, blow.point) {
        case (.node, "import.stage"), (.node, "import.write"), (.node, "import.commit"):
            try await strikeImport(node, blow.point)
        case (.node, "random"):
            try await write(node)
            try await strikeAtRandom(blow, node.name, Bool.random(using: &random) ? ["sync"] : nil, node)
        case (.node, "push.sent"):
            // Two segments wait: the second is never sent, or sent and not noted.
            try await write(node)
            try await die(node.name, ["sync", "--wait", "5"], at: "seal.commit")
            try await write(node)
            try await die(node.name, ["sync", "--wait", "5"], at: "push.sent:\(Int.random(in: 1...2, using: &random))")
        case (.node, "pull.page"):
            // The page in hand brings what the other node of the school wrote.
            let pair = [nodes[0], nodes[1]].shuffled(using: &random)
            try await write(pair[0])
            try await sync(pair[0])
            try await write(pair[1])
            try await die(pair[1].name, ["sync", "--wait", "5"], at: "pull.page")
        case (.node, let point):
            try await write(node)
            try await die(node.name, ["sync", "--wait", "5"], at: point)
        case (.province, "random"), (.forward, "random"), (.ministry, "random"):
            try await write(node)
            if blow.victim != .province { try await sync(node) }
            let verb = blow.victim == .province ? ["sync"] : ["hub", "forward"]
            try await strikeAtRandom(blow, blow.victim == .province ? node.name : "province", verb, node)
        case (.province, let point):
            try await arm("province", point)
            try await write(node)
            try await outlive("province", point, node.name, ["sync", "--wait", "5"])
        case (.ministry, let point):
            try await write(node)
            try await sync(node)
            try await arm("ministry", point)
            try await outlive("ministry", point, "province", ["hub", "forward", "--wait", "5"])
        case (.forward, let point):
            try await write(node)
            try await sync(node)
            try await die("province", ["hub", "forward", "--wait", "5"], at: point)
        case (.forwarder, let point):
            try await write(node)
            try await sync(node)
            try await arm("province", point, ["--forward-interval", "0.2"])
            try await buried("province", point)
        }
    }

    /// An import is there whole or not at all; what was staged can still be accepted.
    private func strikeImport(_ node: Node, _ point: String) async throws {
        guard let portion = takePortion(node) else { throw KillTrouble("too few portions for the plan") }
        let before = try await count(node)
        try await die(node.name, importing(portion, node), at: point)
        let there = try await count(node) - before
        let wanted = point == "import.commit" ? schools[node.school]!.portions[portion].count : 0
        guard there == wanted else { throw KillTrouble("\(there) of \(wanted) imported rows are there after a kill at \(point)") }
        if point == "import.commit" {
            try await expect(3, node.name, importing(portion, node))
        } else {
            let batches = try await ask(node.name, ["review", "list"])["batches"] as? [[String: Any]] ?? []
            guard let batch = batches.last(where: { $0["state"] as? String == "staged" })?["batch"] as? Int else {
                throw KillTrouble("the staged batch is gone after a kill at \(point)")
            }
            try await expect(0, node.name, ["review", "accept", "\(batch)"])
        }
        acknowledge(portion, node)
    }

    /// A command that must die at a point.
    private func die(_ home: String, _ words: [String], at point: String) async throws {
        let mark = folder + "/mark"
        try? FileManager.default.removeItem(atPath: mark)
        let ending = try await zzsync(home, words, environment: ["ZZSYNC_KILL_AT": point, "ZZSYNC_KILL_MARK": mark])
        guard ending.wasKilled else { throw KillTrouble("\(home): \(words) did not die at \(point): \(ending.words)") }
        try note(mark, point)
    }

    /// Counts a kill by what the marker says.
    private func note(_ mark: String, _ point: String) throws {
        let found = String(decoding: FileManager.default.contents(atPath: mark) ?? Data(), as: UTF8.self)
        guard found == point.split(separator: ":")[0] else { throw KillTrouble("the marker says '\(found)', not \(point)") }
        kills[String(found.split(separator: ".")[0]), default: 0] += 1
        journal.append("killed at \(found)")
    }

    /// Serves again, with a point at which the hub will die.
    private func arm(_ hub: String, _ point: String, _ words: [String] = []) async throws {
        servers[hub]!.process.signal(SIGTERM)
        let ending = await servers[hub]!.process.ended()
        guard ending.code == 0 else { throw KillTrouble("\(hub) did not stop at SIGTERM: \(ending.words)") }
        let mark = folder + "/\(hub).mark"
        try? FileManager.default.removeItem(atPath: mark)
        try await serve(hub, words, environment: ["ZZSYNC_KILL_AT": point, "ZZSYNC_KILL_MARK": mark])
    }

    /// A command that meets a hub which dies meanwhile: nothing is lost, exit status 4, or 0 when it was over before.
    private func outlive(_ hub: String, _ point: String, _ home: String, _ words: [String]) async throws {
        let ending = try await zzsync(home, words)
        guard ending.code == 4 || ending.code == 0 else { throw KillTrouble("\(home): \(words) with a dying hub: \(ending.words)") }
        try await buried(hub, point)
    }

    /// Waits for the death of an armed hub and starts it again.
    private func buried(_ hub: String, _ point: String) async throws {
        let process = servers[hub]!.process
        let watchdog = Task {
            try await Task.sleep(for: .seconds(30))
            process.signal(SIGTERM)
        }
        let ending = await process.ended()
        watchdog.cancel()
        guard ending.wasKilled else { throw KillTrouble("\(hub) did not die at \(point): \(ending.words)") }
        try note(folder + "/\(hub).mark", point)
        try await serve(hub)
    }

    /// Kills a process at a moment that the seed gives, as long as a command is under way; other writers go on meanwhile.
    ///
    /// - Parameter words: the command under way; nil = an import.
    private func strikeAtRandom(_ blow: Blow, _ home: String, _ words: [String]?, _ node: Node) async throws {
        for _ in 0..<10 {
            let portion = words == nil ? takePortion(node) : nil
            let command = words ?? portion.map { importing($0, node) } ?? ["sync"]
            let before = portion == nil ? 0 : try await count(node)
            let verb = command.prefix(2).joined(separator: " ")
            let moment = (pace[verb] ?? 0.15) * Double.random(in: 0.05...0.9, using: &random)
            let began = ContinuousClock.now
            let process = try start(home, command)
            let writing = blow.victim == .node && portion == nil ? Task { try await editStudent(node) } : nil
            try? await Task.sleep(for: .seconds(moment))
            let hub = blow.victim == .province ? "province" : blow.victim == .ministry ? "ministry" : nil
            if let hub {
                servers[hub]!.process.signal(SIGKILL)
            } else {
                process.signal(SIGKILL)
            }
            let ending = await process.ended()
            try await writing?.value
            if let hub {
                _ = await servers[hub]!.process.ended()
                try await serve(hub)
            }
            guard hub == nil ? ending.wasKilled || ending.code == 0 : ending.code == 0 || ending.code == 4 else {
                throw KillTrouble("\(home): \(command) around a random kill of \(blow.victim.rawValue): \(ending.words)")
            }
            if let portion {
                let there = try await count(node) - before
                guard [0, schools[node.school]!.portions[portion].count].contains(there) else {
                    throw KillTrouble("\(there) rows of an import are there after a random kill")
                }
                if there == 0 { try await expect(0, node.name, importing(portion, node)) }
                acknowledge(portion, node)
            }
            // A hub was killed in the middle of something if the command noticed.
            if hub == nil ? ending.wasKilled : ending.code == 4 {
                kills["random", default: 0] += 1
                journal.append("killed after \(Int(moment * 1_000)) ms of \(verb)")
                return
            }
            pace[verb] = min(pace[verb] ?? 1, (ContinuousClock.now - began) / .seconds(1))
            try await write(node)
            if home == "province" { try await sync(node) }
        }
        throw KillTrouble("\(blow): the command was always faster")
    }

    private func count(_ node: Node) async throws -> Int {
        Int(try await sqlite(node.name + "/node.db", "SELECT count(*) FROM general_student_basic")) ?? -1
    }

    // MARK: quiet, and equal

    private func sync(_ node: Node) async throws { _ = try await exchange(node.name, ["sync", "--wait", "10"]) }

    /// A sync or forward that must succeed; a hub that still hears the killed process's upload says "busy, try later".
    private func exchange(_ home: String, _ words: [String]) async throws -> Int {
        for _ in 0..<20 {
            let ending = try await zzsync(home, words + ["--json"])
            if ending.code == 7 {
                journal.append("\(home) busy: \(ending.err)")
                continue
            }
            guard ending.code == 0, let report = try? JSONSerialization.jsonObject(with: Data(ending.out.utf8)) as? [String: Any],
                let pushed = report["pushed_rows"] as? Int, let pulled = report["pulled_rows"] as? Int
            else { throw KillTrouble("\(home): \(words): \(ending.words)") }
            return pushed + pulled
        }
        throw KillTrouble("\(home): \(words) stays busy")
    }

    private func settle() async throws {
        for _ in 0..<8 {
            var moved = 0
            for node in nodes { moved += try await exchange(node.name, ["sync", "--wait", "20"]) }
            moved += try await exchange("province", ["hub", "forward", "--wait", "20"])
            if moved == 0 { return }
        }
        throw KillTrouble("nodes and hubs do not come to rest")
    }

    /// Every replica holds exactly what was entered and acknowledged, and says so by its digests.
    private func compare() async throws {
        try await settle()
        journal.append("compared after \(kills.values.reduce(0, +)) kills")
        for (code, school) in schools.sorted(by: { $0.key < $1.key }) {
            var digests: [String: [String: [String: Any]]] = [:]
            let stores = nodes.filter { $0.school == code }.map { ($0.name, "/node.db", "", ["digest"]) }
                + ["province", "ministry"].map {
                    ($0, "/hub.db", "WHERE scope = \(school.scope) AND _life = 1", ["hub", "digest", "--school", code])
                }
            for (name, store, filter, words) in stores {
                try await mustBe(
                    school.students.merging(school.departments) { $1 }, name, store,
                    """
                    SELECT id_number || '|' || coalesce(phone, '') FROM general_student_basic \(filter) UNION ALL
                    SELECT department_number || '|' || department_name FROM general_school_department \(filter)
                    """)
                digests[name] = try await ask(name, words)["forms"] as? [String: [String: Any]] ?? [:]
            }
            let first = digests[stores[0].0]!
            guard first.count >= 11 else { throw KillTrouble("\(stores[0].0) has digests of \(first.count) forms") }
            for (name, forms) in digests {
                for (form, digest) in forms where digest["digest"] as? String != first[form]?["digest"] as? String {
                    throw KillTrouble("\(form) of \(code): \(name) has another digest than \(stores[0].0)")
                }
            }
        }
    }

    private func mustBe(_ model: [String: String], _ name: String, _ store: String, _ sql: String) async throws {
        let lines = try await sqlite(name + store, sql).split(separator: "\n").map(String.init)
        let found = Set(lines)
        let wanted = Set(model.map { "\($0.key)|\($0.value)" })
        guard found == wanted, lines.count == wanted.count else {
            throw KillTrouble(
                "\(name): \(wanted.subtracting(found).sorted().prefix(5)) are missing, \(found.subtracting(wanted).sorted().prefix(5)) should not be there: \(sql)")
        }
    }

    /// No kill left anything behind: no case, no quarantine, no half upload, no damage.
    private func inspect() async throws {
        for node in nodes {
            let status = try await ask(node.name, ["status"])
            guard status["pending_rows"] as? Int == 0, status["open_cases"] as? Int == 0 else {
                throw KillTrouble("\(node.name): \(status)")
            }
            try await expect(0, node.name, ["doctor"])
        }
        for hub in ["province", "ministry"] {
            let status = try await ask(hub, ["hub", "status"])
            for name in ["waiting", "quarantined", "open_cases"] where status[name] as? Int != 0 {
                throw KillTrouble("\(hub): \(name) is \(status[name] ?? "nothing")")
            }
            let cells = status["cells"] as? [String: Int] ?? [:]
            guard let sent = cells["sent"], sent > 0, sent == cells.values.reduce(0, +) - sent else {
                throw KillTrouble("\(hub): cells do not add up: \(cells)")
            }
            for store in ["/hub.db", "/inbox.db"] {
                let found = try await sqlite(hub + store, "PRAGMA integrity_check")
                guard found == "ok" else { throw KillTrouble("\(hub)\(store): \(found)") }
            }
            let behind = try await sqlite(hub + "/hub.db", "SELECT count(*) FROM zz_scope WHERE claimed < log_end")
            guard behind == "0" else { throw KillTrouble("\(hub): key claims of \(behind) schools are behind") }
            let spool = try FileManager.default.contentsOfDirectory(atPath: folder + "/\(hub)/spool")
            guard spool.isEmpty else { throw KillTrouble("\(hub): left in the spool: \(spool)") }
        }
    }

    // MARK: processes

    private func start(
        _ home: String, _ words: [String], environment: [String: String] = [:], secondsMax: Int = 90
    ) throws -> Child {
        try Child(
            Programs.zzsync, words + ["--home", folder + "/" + home], environment: environment, secondsMax: secondsMax)
    }

    private func zzsync(_ home: String, _ words: [String], environment: [String: String] = [:]) async throws -> Ended {
        let ending = try await start(home, words, environment: environment).ended()
        journal.append("\(home): \(words.joined(separator: " ")) → \(ending.code)")
        return ending
    }

    private func expect(_ status: Int32, _ home: String, _ words: [String]) async throws {
        let ending = try await zzsync(home, words)
        guard ending.code == status else { throw KillTrouble("\(home): \(words) must exit with \(status): \(ending.words)") }
    }

    private func ask(_ home: String, _ words: [String]) async throws -> [String: Any] {
        let ending = try await zzsync(home, words + ["--json"])
        guard ending.code == 0, let found = try JSONSerialization.jsonObject(with: Data(ending.out.utf8)) as? [String: Any] else {
            throw KillTrouble("\(home): \(words): \(ending.words)")
        }
        return found
    }

    private func sqlite(_ store: String, _ sql: String) async throws -> String {
        let ending = try await Programs.run(
            Programs.sqlite3, ["-batch", "-init", "/dev/null", "-readonly", "-cmd", ".timeout 10000", folder + "/" + store, sql])
        guard ending.code == 0 else { throw KillTrouble("sqlite3 \(store): \(sql): \(ending.words)") }
        return ending.out.trimmingCharacters(in: .newlines)
    }

    /// Starts a hub; the first time on a port that the kernel gives to nobody unasked, then always on that one, which its
    /// invites name.
    private func serve(_ hub: String, _ words: [String] = [], environment: [String: String] = [:]) async throws {
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
