// Hubs put back from backups while their children go on: what the children hold comes back, nothing is lost, all agree again.

import Foundation
import GRDB
import Testing

@testable import Hub
@testable import Node
@testable import Shared
@testable import zzsync

@Suite(.serialized) struct HubRestoreTests {
    typealias Stage = RestoreTests.Stage

    @Test(arguments: [HomeCopy.Part.database, .home]) func theChildrenGiveBackWhatAProvinceLost(part: HomeCopy.Part) async throws {
        let stage = try await Stage()
        try stage.world.backup("province")
        try stage.write("A1", "home_address", "备份以后")
        try await stage.world.sync("A1")
        try await stage.world.sync("A2")
        try await stage.world.sync("province")
        let (site, node) = (try stage.world.hub("province").uplinkKeys().site, try stage.site("A1"))

        try stage.world.restore("province", part)
        #expect(try stage.value("province", "home_address") != "备份以后")
        // The one that only read it comes first; the one that wrote it is away.
        try stage.write("A2", "guardian_name", "还原以后")
        try await stage.world.sync("A2")
        #expect(try stage.value("province", "home_address") == "备份以后", "from the page that A2 kept")
        #expect(try stage.world.hub("province").epoch == 2)
        try await stage.world.sync("A1")
        #expect(try stage.cases().isEmpty)
        try await stage.settleAndAgree()
        #expect(try stage.value("ministry", "home_address") == "备份以后")
        #expect(try stage.value("ministry", "guardian_name") == "还原以后")
        #expect(try stage.world.hub("province").uplinkKeys().site != site, "a new site towards its parent")
        #expect(try stage.world.hub("province").keys.site == site, "the same hub for its children")
        #expect(try stage.world.hub("province").epoch == 2, "once is enough")
        #expect(try stage.site("A1") == node, "it has all that A2's page had heard of it")
    }

    /// When the sibling's page, which remembers what node and hub have both lost, comes back.
    enum Moment: CaseIterable { case first, lastButSent, last }

    /// Both number on from their copies: the page speaks of seqs of the node that another life of it had used.
    @Test(arguments: Moment.allCases) func aNodeAndItsHubPutBackTogether(moment: Moment) async throws {
        let stage = try await Stage()
        for home in ["A1", "province"] { try stage.world.backup(home) }
        try stage.write("A1", "home_address", "前世写的")
        try stage.write("A1", "postal_code", "450001")
        try await stage.world.sync("A1")
        try await stage.world.sync("A2")
        let site = try stage.site("A1")
        for home in ["A1", "province"] { try stage.world.restore(home, .home) }

        if moment == .first { try await stage.world.sync("A2") }
        try stage.write("A1", "home_address", "今生写的")
        try stage.write("A1", "guardian_name", "今生才有")
        if moment == .lastButSent { _ = try await stage.world.session("A1").run(pull: false) } else { try await stage.world.sync("A1") }
        try await stage.world.sync("A2")
        try await stage.world.sync("A1")
        #expect(try stage.site("A1") != site || moment != .first, "it was told in time")
        let open = try #require(try OperatorDesk(stage.world.hub("province")).cases().first)
        #expect(Set(open.candidates.compactMap { $0.values["home_address"] }) == ["前世写的", "今生写的"], "neither knew of the other")
        #expect(try stage.cases() == ["cell"])
        try await stage.settleAndAgree()
        #expect(try stage.value("ministry", "postal_code") == "450001")
        #expect(try stage.value("ministry", "guardian_name") == "今生才有")
    }

    /// It has the seqs, and something else under them.
    @Test func aNodeThatHasNumberedAsFarAsItsOtherLife() async throws {
        let stage = try await Stage()
        for home in ["A1", "province"] { try stage.world.backup(home) }
        try stage.write("A1", "home_address", "前世写的")
        try await stage.world.sync("A1")
        try await stage.world.sync("A2")
        for home in ["A1", "province"] { try stage.world.restore(home, .home) }
        let site = try stage.site("A1")
        try stage.write("A1", "home_address", "今生写的")
        // Sealed without a word from the hub, as a page of it does.
        let replica = try stage.world.session("A1").replica
        let now = Int64(1_700_000_000)
        let scope = try #require(try await replica.database.read { try ScopeLink.all($0) }.first)
        _ = try await replica.database.write { try replica.seal($0, scope: scope, now: now) }
        try await stage.world.sync("A2")
        try await stage.world.sync("A1")
        #expect(try stage.site("A1") != site)
        #expect(try stage.cases() == ["cell"])
        try await stage.settleAndAgree()
    }

    @Test func aDecisionThatTheHubLostComesBack() async throws {
        let stage = try await Stage()
        try await stage.disputeAddress()
        try stage.world.backup("province")
        let desk = OperatorDesk(try stage.world.hub("province"))
        let open = try #require(desk.cases().first)
        _ = try desk.set(open.number, [stage.form.field(named: "home_address"): .text("决定的")], Verdict(who: "操作员", reason: "核实"))
        try await stage.world.sync("A1")
        try stage.world.restore("province", .home)
        try await stage.world.sync("A1")
        try await stage.world.sync("A2")
        // The case was open in the backup: what had been decided joins it, and nothing of it is lost.
        let candidates = try OperatorDesk(stage.world.hub("province")).cases().flatMap(\.candidates).compactMap { $0.values["home_address"] }
        let shown = try stage.value("province", "home_address")
        #expect(shown == "决定的" || candidates.contains("决定的"))
        try await stage.settleAndAgree()
    }

    @Test func rowsBornAndDeletedInTheLostTime() async throws {
        let stage = try await Stage()
        let department = try stage.world.catalogue.form(named: "general.school.department")
        let old = try stage.world.node("A1").add(department, [department.key.last!: .text("D-1")], author: "A1")
        try await stage.world.settle()
        try stage.world.backup("province")
        let born = try stage.world.node("A1").add(department, [department.key.last!: .text("D-2")], author: "A1")
        try stage.world.node("A1").remove(department, old, author: "A1")
        try await stage.world.sync("A1")
        try await stage.world.sync("A2")
        try stage.world.restore("province", .home)
        for who in ["A2", "A1", "A2"] { try await stage.world.sync(who) }
        let province = try stage.world.hub("province")
        #expect(try province.values(department, born) != nil)
        #expect(try province.values(department, old) == nil)
        #expect(try stage.cases().isEmpty)
        try await stage.settleAndAgree()
    }

    @Test(arguments: [HomeCopy.Part.database, .home]) func aMinistryPutBack(part: HomeCopy.Part) async throws {
        let stage = try await Stage()
        try stage.world.backup("ministry")
        try stage.write("A1", "home_address", "备份以后")
        try await stage.world.settle()
        try stage.world.restore("ministry", part)
        try stage.write("A2", "guardian_name", "还原以后")
        try await stage.settleAndAgree()
        #expect(try stage.value("ministry", "home_address") == "备份以后")
        #expect(try stage.value("ministry", "guardian_name") == "还原以后")
        #expect(try stage.world.hub("ministry").epoch == 2)
        #expect(try stage.cases("ministry").isEmpty)
    }

    /// The child took its new incarnation after the backup: the hub has never heard of it.
    @Test func anIncarnationThatTheHubHasForgotten() async throws {
        let stage = try await Stage()
        try stage.world.backup("province")
        try stage.world.backup("A1")
        try stage.write("A1", "home_address", "一")
        try await stage.world.sync("A1")
        try stage.world.restore("A1", .home)
        try stage.write("A1", "guardian_name", "二")
        try await stage.world.sync("A1")
        try stage.world.restore("province", .home)
        try stage.write("A1", "household_address", "三")
        try await stage.world.sync("A1")
        for (field, text) in [("home_address", "一"), ("guardian_name", "二"), ("household_address", "三")] {
            #expect(try stage.value("province", field) == text)
        }
        try await stage.settleAndAgree()
    }

    /// The inbox remembers that there was a second epoch: a child that agreed in it must not take another one for it.
    @Test func theSameCopyPutBackTwice() async throws {
        let stage = try await Stage()
        try stage.world.backup("province")
        for (time, text) in ["一", "二"].enumerated() {
            try stage.write("A1", "home_address", text)
            try await stage.world.sync("A1")
            try stage.world.restore("province", .database)
            #expect(try stage.world.hub("province").epoch == 2 + time)
            try stage.write("A1", "guardian_name", text)
            try await stage.world.sync("A1")
            #expect(try stage.value("province", "home_address") == text)
            #expect(try stage.value("province", "guardian_name") == text)
        }
        try await stage.settleAndAgree()
    }

    /// Its segments lie in the inbox under a site that the database has never heard of; they must not wait for ever.
    @Test func anIncarnationThatTheDatabaseHasForgottenAndNobodyHas() async throws {
        let stage = try await Stage()
        try stage.world.backup("province")
        try stage.world.backup("A1")
        try stage.write("A1", "home_address", "第一代")
        try await stage.world.sync("A1")
        try stage.world.restore("A1", .home)
        try stage.write("A1", "guardian_name", "第二代")
        try await stage.world.sync("A1")
        try stage.world.restore("A1", .home)
        try stage.world.restore("province", .database)
        try stage.write("A1", "household_address", "第三代")
        try await stage.settleAndAgree()
        for (field, text) in [("home_address", "第一代"), ("guardian_name", "第二代"), ("household_address", "第三代")] {
            #expect(try stage.value("ministry", field) == text)
        }
        #expect(try stage.world.hub("province").inbox.waitingCount() == 0)
    }

    /// A segment that was merged from quarantine lies below what its site had merged; that its merge is lost must be seen all the same.
    @Test func aMergeFromQuarantineThatTheHubLost() async throws {
        let stage = try await Stage()
        let inbox = try stage.world.hub("province").inbox
        try stage.write("A1", "home_address", "读不懂")
        _ = try await stage.world.session("A1").run(pull: false)
        let number = try #require(try inbox.nextWaiting())
        try inbox.quarantine(number, reason: "a test cannot read it")
        try stage.write("A1", "guardian_name", "读得懂")
        try await stage.world.sync("A1")
        try stage.world.backup("province")
        #expect(try inbox.release(number))
        try await stage.world.sync("A1")
        #expect(try stage.value("province", "home_address") == "读不懂")
        try stage.world.restore("province", .database)
        #expect(try stage.value("province", "home_address") != "读不懂")
        try await stage.settleAndAgree()
        #expect(try stage.value("ministry", "home_address") == "读不懂")
    }

    // MARK: random histories

    static var isLong: Bool { ProcessInfo.processInfo.environment["ZZSYNC_COUNTS"] == "long" }

    @Test(arguments: 0..<(isLong ? 40 : 3)) func nothingKnownIsLost(seed: Int) async throws {
        var history = try await RestoreHistory(seed: seed)
        try await history.run(steps: 70)
    }
}

/// Writes, syncs, decisions and restores of any home at random. Every write is a text of its own and carries what its author had
/// before his eyes; what anybody still knows after a restore must stand at the end, or be covered by what stands there.
struct RestoreHistory {
    private let seed: Int
    private var random: Seeded
    private let stage: RestoreTests.Stage
    private let fields = ["home_address", "guardian_name", "household_address"]
    private let nodes = ["A1", "A2", "A3"]
    private let homes = ["A1", "A2", "A3", "province", "ministry"]
    /// Text → what it covers, itself included.
    private var covers: [String: Set<String>] = [:]
    private var wanted: [String: Set<String>] = [:]
    private var copied: Set<String> = []
    private var told: [String] = []
    private(set) var restores = 0

    struct Seeded: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
    }

    init(seed: Int) async throws {
        self.seed = seed
        random = Seeded(state: UInt64(seed))
        stage = try await RestoreTests.Stage(["A1", "A2", "A3"])
        for field in fields { wanted[field] = [] }
    }

    mutating func run(steps: Int) async throws {
        for _ in 0..<steps { try await step() }
        told.append("settle")
        for _ in 0..<8 {
            try await stage.world.settle()
            if try !decide(share: 1) { break }
        }
        let digests = try stage.world.digests(school: "A")
        #expect(Set(digests.values).count == 1, "seed \(seed): \(told.joined(separator: " "))")
        for field in fields {
            let text = try stage.value("ministry", field) ?? ""
            let lost = wanted[field]!.subtracting(covers[text] ?? [])
            #expect(lost.isEmpty, "seed \(seed): \(field) lost \(lost.sorted()), stands \(text): \(told.joined(separator: " "))")
        }
    }

    private mutating func step() async throws {
        let dice = Int.random(in: 0..<100, using: &random)
        let node = nodes.randomElement(using: &random)!
        switch dice {
        case ..<32: try write(node)
        case ..<52: try await note("sync \(node)") { try await $0.sync(node) }
        case ..<57: try await note("push \(node)") { try await $0.push(node) }
        case ..<62: try await note("fetch \(node)") { try await $0.fetch(node) }
        case ..<76: try await note("sync province") { try await $0.sync("province") }
        case ..<82: _ = try decide(share: 0.5)
        default: try copyOrRestore(homes.randomElement(using: &random)!)
        }
    }

    private mutating func note(_ what: String, _ body: (zzsync.World) async throws -> Void) async throws {
        told.append(what + ";")
        do { try await body(stage.world) } catch {
            Issue.record("seed \(seed): \(error) after \(told.joined(separator: " "))")
            throw error
        }
    }

    private mutating func write(_ node: String) throws {
        let field = fields.randomElement(using: &random)!
        let text = "第\(covers.count + 1)号"
        covers[text] = (covers[try stage.value(node, field) ?? ""] ?? []).union([text])
        wanted[field]!.insert(text)
        try stage.write(node, field, text)
        told.append("\(node) \(field)=\(text);")
    }

    /// - Returns: whether anything was decided.
    private mutating func decide(share: Double) throws -> Bool {
        var any = false
        for hub in ["province", "ministry"] {
            let desk = OperatorDesk(try stage.world.hub(hub))
            for open in try desk.cases(kind: "cell") where Double.random(in: 0..<1, using: &random) < share {
                let field = open.group[0]
                let text = "第\(covers.count + 1)号"
                covers[text] = open.candidates.reduce(into: [text]) { $0.formUnion(covers[$1.values[field] ?? ""] ?? []) }
                wanted[field]!.insert(text)
                _ = try desk.set(open.number, [stage.form.field(named: field): .text(text)], Verdict(who: hub, reason: "核实"))
                told.append("\(hub) decides \(field)=\(text);")
                any = true
            }
        }
        return any
    }

    private mutating func copyOrRestore(_ home: String) throws {
        guard copied.contains(home), Bool.random(using: &random) else {
            try stage.world.backup(home)
            copied.insert(home)
            return told.append("backup \(home);")
        }
        let part: HomeCopy.Part = Bool.random(using: &random) ? .home : .database
        try stage.world.restore(home, part)
        restores += 1
        told.append("restore \(home) \(part);")
        // What lay on that disk alone may go.
        let known = try Set(homes.flatMap { try texts($0) }).reduce(into: Set<String>()) { $0.formUnion(covers[$1] ?? []) }
        for field in fields { wanted[field]!.formIntersection(known) }
    }

    /// Every text of ours that a home holds: rows, candidates, segments, pages.
    private func texts(_ home: String) throws -> Set<String> {
        let hub = stage.world.hubs[home]?.home
        let database = try hub?.database ?? stage.world.node(home).database
        var found: Set<String> = []
        func note(_ bytes: Data) throws {
            let body = try SegmentCodec.decodeOwn(Array(bytes), predictors: Embedded.catalogue.predictors).body
            for changes in body.forms {
                for column in changes.columns { for cell in 0..<changes.count { found.insert(column[cell].shown) } }
            }
        }
        try database.read { db in
            let columns = fields.joined(separator: ", ")
            for row in try Row.fetchAll(db, sql: "SELECT \(columns) FROM \(stage.form.table)") { for field in fields { found.insert(row[field] ?? "") } }
            for sql in ["SELECT bytes FROM zz_outbox", "SELECT bytes FROM zz_page", "SELECT bytes FROM zz_returned"] {
                for bytes in try Data.fetchAll(db, sql: sql) { try note(bytes) }
            }
            guard hub != nil else { return }
            for value in try String.fetchAll(
                db, sql: "SELECT value FROM zz_candidate JOIN zz_case USING (number) WHERE closed_at IS NULL")
            { found.formUnion(ValuesJSON.decode(value).map(\.shown)) }
        }
        if let hub {
            for bytes in try hub.inbox.database.read({ try Data.fetchAll($0, sql: "SELECT bytes FROM received WHERE state <> 'inherited'") }) {
                try note(bytes)
            }
        }
        return found.filter { covers[$0] != nil }
    }
}
