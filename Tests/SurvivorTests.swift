import Foundation
import GRDB
import Testing

@testable import Hub
@testable import Node
@testable import Shared
@testable import zzsync

/// Rows that were one, or dead, and are not any more: what comes late to them, and what is taken back.
@Suite struct SurvivorTests {
    private static let form = Embedded.catalogue["general.class"]!
    private static func field(_ title: String) throws -> Int { try form.field(named: title) }
    private let verdict = Verdict(who: "操作员", reason: "核实")

    private func world(_ nodes: [String]) async throws -> zzsync.World {
        let world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: nodes)
        _ = try world.node("A1").addExamples(author: "初始数据", school: "A")
        try await world.settle()
        return world
    }

    private func size(_ world: zzsync.World, _ node: String, _ row: RowID, _ value: Int64) throws {
        try world.node(node).change(Self.form, row, [Self.field("计划人数"): .integer(value)], author: node)
    }

    private func sizes(_ world: zzsync.World, _ name: String, _ row: RowID) throws -> Value? {
        try world.hub(name).values(Self.form, row)?[Self.field("计划人数")]
    }

    /// Two rows of one class number, each node's with a size of its own (none for nil), which all have; the case of the province.
    private func twins(_ world: zzsync.World, _ sizes: [String: Int64?]) async throws -> (item: CaseView, rows: [RowID]) {
        for (node, size) in sizes.sorted(by: { $0.key < $1.key }) {
            var values = [try Self.field("class_number"): Value.text("20249801")]
            if let size { values[try Self.field("计划人数")] = .integer(size) }
            _ = try world.node(node).add(Self.form, values, author: node)
        }
        try await world.settle()
        let item = try #require(try OperatorDesk(world.hub("province")).cases().first)
        return (item, [item.row, item.otherRow ?? ""].compactMap { Int64($0) }.sorted().map { RowID($0) })
    }

    /// A late edit offers to go to the survivor; then the survivor is written: nobody at the desk has seen that.
    @Test func anOfferFollowsTheSurvivor() async throws {
        let world = try await world(["A1", "A2"])
        let (item, rows) = try await twins(world, ["A1": 31, "A2": 32])
        let desk = OperatorDesk(try world.hub("province"))
        _ = try desk.merge(item.number, verdict)
        try await world.sync("A1")
        try size(world, "A2", rows[1], 77)
        try await world.push("A2")
        let seen = try #require(try desk.cases().first { $0.kind == "life" })
        #expect(seen.survivor?.edit["planned_size"] == "77")
        try size(world, "A1", rows[0], 55)
        try await world.push("A1")
        var late = verdict
        late.version = seen.version
        #expect { try desk.merge(seen.number, late) } throws: { "\($0)".contains("has changed") }
        #expect(try sizes(world, "province", rows[0]) == .integer(55))
        // A decision of another operator about the survivor is such a write too.
        let now = try desk.show(seen.number)
        try size(world, "A1", rows[0], 56)
        try size(world, "A2", rows[0], 57)
        for node in ["A1", "A2"] { try await world.push(node) }
        let cell = try #require(try desk.cases().first { $0.kind == "cell" })
        #expect(try desk.show(seen.number).version > now.version)
        let before = try desk.show(seen.number).version
        _ = try desk.take(cell.number, candidate: 1, verdict)
        #expect(try desk.show(seen.number).version > before)
        #expect(try desk.merge(seen.number, verdict).kind == "apply")
        #expect(try sizes(world, "province", rows[0]) == .integer(77))
    }

    /// What a merge had filled in is disputed by one who had not seen it: an undo would write beneath the question.
    @Test(arguments: [true, false]) func whatIsDisputedSinceIsNotTakenBack(ofMerge: Bool) async throws {
        let world = try await world(["A1", "A2", "A3"])
        // Of which node the survivor will be is chance: the one without a size must be the smaller.
        var pair = try await twins(world, ["A1": 31, "A2": 32])
        let desk = OperatorDesk(try world.hub("province"))
        if ofMerge {
            try world.node("A1").change(Self.form, pair.rows[0], [Self.field("计划人数"): .null], author: "A1")
            try world.node("A1").change(Self.form, pair.rows[1], [Self.field("计划人数"): .integer(30)], author: "A1")
            try await world.settle()
            pair.item = try desk.show(pair.item.number)
        }
        let merge = try desk.merge(pair.item.number, verdict)
        var decision = merge.decision
        if ofMerge {
            try size(world, "A3", pair.rows[0], 90)
        } else {
            try await world.sync("A3")
            try size(world, "A2", pair.rows[1], 30)
            try await world.push("A2")
            try size(world, "A3", pair.rows[0], 90)
            decision = try desk.merge(try #require(try desk.cases().first { $0.kind == "life" }).number, verdict).decision
        }
        try await world.push("A3")
        let open = try #require(try desk.cases().first { $0.kind == "cell" })
        #expect(open.candidates.map { $0.values["planned_size"] } == ["30", "90"] && open.shown["planned_size"] == "30")
        #expect { try desk.undo(decision, verdict) } throws: { "\($0)".contains("is disputed: case \(open.number) is open") }
        #expect(try sizes(world, "province", pair.rows[0]) == .integer(30))
        // Decided, what was written stands for whoever decided it.
        _ = try desk.take(open.number, candidate: 2, verdict)
        #expect { try desk.undo(decision, verdict) } throws: { "\($0)".contains("written again") }
    }

    /// One list pasted on three nodes: the system merges twice into one row, and both merges can be taken back.
    @Test(arguments: [false, true]) func threeEqualRowsArePartedAgain(isWrittenBetween: Bool) async throws {
        let world = try await world(["A1", "A2", "A3"])
        let desk = OperatorDesk(try world.hub("province"))
        let values = [try Self.field("class_number"): Value.text("20249801"), try Self.field("计划人数"): .integer(31)]
        var rows: [RowID] = []
        for node in ["A1", "A2", "A3"] { rows.append(try world.node(node).add(Self.form, values, author: node)) }
        rows.sort()
        for node in ["A1", "A2"] { try await world.push(node) }
        if isWrittenBetween {
            // Another value, and the old one again: no longer what the first merge left, though it looks so.
            for size in [32, 31] as [Int64] {
                try await world.sync("A1")
                let alive = try #require(try rows.first { try world.node("A1").values(Self.form, $0) != nil })
                try self.size(world, "A1", alive, size)
                try await world.push("A1")
            }
        }
        try await world.push("A3")
        let merges = try desk.journal().filter { $0.kind == "merge" }.map(\.decision).sorted()
        try #require(merges.count == 2, "\(merges)")
        _ = try desk.undo(merges[1], verdict)
        if isWrittenBetween {
            #expect { try desk.undo(merges[0], verdict) } throws: { "\($0)".contains("written again since") }
        } else {
            _ = try desk.undo(merges[0], verdict)
            try await world.settle()
            for name in ["province", "ministry"] {
                for row in rows { #expect(try sizes(world, name, row) == .integer(31), "\(name)") }
            }
            // Each with each.
            #expect(try desk.cases().map(\.kind) == ["twins", "twins", "twins"])
        }
    }

    /// The ministry has said that two rows are two; the province, which had not seen that, merges them: somebody must say which it is.
    @Test func aMergeDoesNotEndWhatAnotherHubHasSaid() async throws {
        let world = try await world(["A1", "A2"])
        let (item, rows) = try await twins(world, ["A1": 31, "A2": 32])
        let desks = try ["province", "ministry"].map { OperatorDesk(try world.hub($0)) }
        let above = try #require(try desks[1].cases().first)
        _ = try desks[1].distinct(above.number, verdict)
        _ = try desks[0].merge(item.number, verdict)
        try await world.sync("province")
        let asked = try #require(try desks[1].cases().first)
        #expect(asked.kind == "life" && asked.row == rows[1].description, "\(asked)")
        #expect(try world.hub("ministry").values(Self.form, rows[1]) != nil, "it lives until somebody has answered")
    }

    /// Both hubs have said that the two are two: that one takes its word back does not take the other's.
    @Test func twoAreTwoAsLongAsOneHubSaysSo() async throws {
        let world = try await world(["A1", "A2"])
        let (item, _) = try await twins(world, ["A1": 31, "A2": 32])
        let desks = try ["province", "ministry"].map { OperatorDesk(try world.hub($0)) }
        let above = try #require(try desks[1].cases().first)
        let below = try desks[0].distinct(item.number, verdict)
        let other = try desks[1].distinct(above.number, verdict)
        try await world.settle()
        _ = try desks[0].undo(below.decision, verdict)
        try await world.settle()
        for desk in desks {
            let pairs = try await desk.home.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM zz_distinct") }
            #expect(pairs ?? 0 > 0)
        }
        #expect(try desks[1].cases().isEmpty)
        // Taken back by both it is open again everywhere.
        _ = try desks[1].undo(other.decision, verdict)
        try await world.settle()
        for desk in desks { #expect(try desk.cases().map(\.kind) == ["twins"]) }
    }

    /// Somebody typed one placeholder for many: each row is asked about, but not each with each.
    @Test func manyRowsOfOneKeyAreEachAskedAbout() async throws {
        let count = 60
        let world = try await world(["A1"])
        let node = try world.node("A1"), desk = OperatorDesk(try world.hub("province"))
        try await node.database.write { db in
            for index in 0..<count {
                try db.execute(sql: "INSERT INTO general_class (class_number, class_name) VALUES ('0', ?)", arguments: ["班\(index)"])
            }
        }
        try await world.push("A1")
        func rows() async throws -> Set<Int64> {
            try await node.database.read { try Set(Int64.fetchAll($0, sql: "SELECT id FROM general_class WHERE class_number = '0'")) }
        }
        func asked() throws -> Set<Int64> {
            Set(try desk.cases().filter { $0.kind == "twins" }.flatMap { [$0.row, $0.otherRow ?? ""] }.compactMap { Int64($0) })
        }
        let all = try await rows()
        #expect(all.count == count)
        #expect(try asked() == all && desk.cases().count <= 2 * count)
        // Those with whom the others were asked about get numbers of their own, a dozen at a time.
        for round in 0..<4 {
            let first = try desk.cases().filter { $0.kind == "twins" }.reduce(into: [Int64: Int]()) { $0[Int64($1.otherRow!)!, default: 0] += 1 }
                .sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(12).map(\.key)
            try await node.database.write { db in
                for id in first { try db.execute(sql: "UPDATE general_class SET class_number = ? WHERE id = ?", arguments: ["N\(round)\(id)", id]) }
            }
            try await world.push("A1")
            let left = try await rows()
            #expect(try asked() == (left.count > 1 ? left : []), "round \(round)")
        }
        // Marked as two with those, each is asked about with the next: at last no two are left of which nobody has said anything.
        let left = try await rows()
        try #require(left.count > 3)
        var bulks = 0
        while try !desk.cases().isEmpty, bulks < count {
            _ = try desk.bulk(CaseFilter(), take: .choice(.distinct), verdict, dryRun: false)
            bulks += 1
        }
        let pairs = try await desk.home.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM zz_distinct") }
        #expect(pairs == left.count * (left.count - 1) / 2, "\(bulks) bulks")
    }

    /// Decided, merged, and both taken back in reverse order, by an operator who has nobody beside him.
    @Test func whatWasDecidedBeforeAMergeCanBeTakenBackAfterIt() async throws {
        let world = try await world(["A1", "A2", "A3"])
        let (item, rows) = try await twins(world, ["A1": 31, "A2": 32])
        let desk = OperatorDesk(try world.hub("province"))
        try size(world, "A1", rows[0], 41)
        try size(world, "A2", rows[0], 42)
        for node in ["A1", "A2"] { try await world.push(node) }
        let cell = try #require(try desk.cases().first { $0.kind == "cell" })
        let decided = try desk.take(cell.number, candidate: 2, verdict), merged = try desk.merge(item.number, verdict)
        _ = try desk.undo(merged.decision, verdict)
        _ = try desk.undo(decided.decision, verdict)
        #expect(Set(try desk.cases().map(\.kind)) == ["cell", "twins"])
    }

    /// The first survivor was the row that went in the second merge.
    @Test func mergesIntoAThirdRowAreTakenBackInReverse() async throws {
        let world = try await world(["A1", "A2", "A3"])
        let desk = OperatorDesk(try world.hub("province"))
        let (_, two) = try await twins(world, ["A1": 31, "A2": 32])
        _ = try world.node("A3").add(Self.form, [Self.field("class_number"): .text("20249801"), Self.field("计划人数"): .integer(33)], author: "A3")
        try await world.settle()
        let all = Set(try desk.cases().flatMap { [$0.row, $0.otherRow ?? ""] }.compactMap { Int64($0) }).sorted().map { RowID($0) }
        try #require(all.count == 3 && Set(two).isSubset(of: all))
        func number(_ a: RowID, _ b: RowID) throws -> Int64 {
            try #require(try desk.cases().first { Set([$0.row, $0.otherRow]) == [a.description, b.description] }).number
        }
        var done: [Int64] = []
        done.append(try desk.merge(number(all[1], all[2]), verdict).decision)
        done.append(try desk.merge(number(all[0], all[1]), verdict).decision)
        for decision in done.reversed() { _ = try desk.undo(decision, verdict) }
        try await world.settle()
        #expect(try world.rows("ministry", Self.form) == world.rows("A1", Self.form))
        for row in all { #expect(try world.hub("ministry").values(Self.form, row) != nil) }
    }

    /// The answer says what it replaced, and stands with the row that took it.
    @Test func anAppliedEditSaysWhatItReplaced() async throws {
        let world = try await world(["A1", "A2"])
        let (item, rows) = try await twins(world, ["A1": 31, "A2": 32])
        let desk = OperatorDesk(try world.hub("province"))
        let merge = try desk.merge(item.number, verdict)
        try size(world, "A2", rows[1], 77)
        try await world.push("A2")
        let kept = try #require(try sizes(world, "province", rows[0])).shown
        let life = try #require(try desk.cases().first { $0.kind == "life" })
        let applied = try desk.merge(life.number, verdict)
        #expect(applied.taken.hasSuffix("applied to row \(rows[0]): 计划人数=77 instead of \(kept)"), "\(applied.taken)")
        try await world.settle()
        let told = try await world.node("A1").database.read { try DecisionRecord.list($0, scope: nil, form: Self.form, row: rows[0]) }
        // Both may be of one second.
        #expect(told.map(\.kind).sorted() == ["apply", "merge"] && told.first { $0.kind == "apply" }?.otherRow == rows[0].description)
        // The row that went was decided about again: the merge alone is not to be taken back.
        #expect { try desk.undo(merge.decision, verdict) } throws: { "\($0)".contains("since") }
    }

    /// Somebody who had not seen the decision typed, or deleted, the same: to take the decision back would take that.
    @Test(arguments: [true, false]) func theSameWordOfAnotherIsNotTakenBack(aValue: Bool) async throws {
        let world = try await world(["A1", "A2", "A3"])
        let (item, rows) = try await twins(world, ["A1": 31, "A2": 32])
        let desk = OperatorDesk(try world.hub("province"))
        let decision: Int64
        if aValue {
            try size(world, "A1", rows[0], 51)
            try size(world, "A2", rows[0], 52)
            for node in ["A1", "A2"] { try await world.push(node) }
            let cell = try #require(try desk.cases().first { $0.kind == "cell" })
            decision = try desk.set(cell.number, [Self.field("计划人数"): .integer(60)], verdict).decision
            try size(world, "A3", rows[0], 60)
        } else {
            decision = try desk.merge(item.number, verdict).decision
            try world.node("A3").remove(Self.form, rows[1], author: "A3")
        }
        try await world.push("A3")
        #expect { try desk.undo(decision, verdict) } throws: { "\($0)".contains("was written by A3 too") }
        if aValue { #expect(try sizes(world, "province", rows[0]) == .integer(60)) }
        #expect(try world.hub("province").values(Self.form, rows[1]) == nil || aValue)
    }

    /// Who edited the row stands against who deleted it, whichever came first.
    @Test(arguments: [["A1", "A2"], ["A2", "A1"]]) func theLivingSideIsItsEditors(_ order: [String]) async throws {
        let world = try await world(["A1", "A2"])
        let id = try await world.node("A1").database.read { try Int64.fetchOne($0, sql: "SELECT id FROM general_class") }
        let row = RowID(try #require(id))
        try world.node("A1").remove(Self.form, row, author: "删者")
        try world.node("A2").change(Self.form, row, [Self.field("计划人数"): .integer(52)], author: "改者")
        for node in order { try await world.push(node) }
        let item = try #require(try OperatorDesk(world.hub("province")).cases().first)
        #expect(item.candidates.first { $0.values["life"] == "alive" }?.author == "改者", "\(item)")
        #expect(item.candidates.first { $0.values["life"] == "dead" }?.author == "删者")
    }

    /// Kept alive by a bulk, a row is merged with its equal at once, by the system: the bulk's undo takes that back too.
    @Test func whatTheSystemMergesForABulkGoesWithIt() async throws {
        let world = try await world(["A1", "A2", "A3"])
        let desk = OperatorDesk(try world.hub("province"))
        let values = [try Self.field("class_number"): Value.text("20249801"), try Self.field("计划人数"): .integer(31)]
        let row = try world.node("A1").add(Self.form, values, author: "A1")
        try await world.settle()
        try world.node("A1").remove(Self.form, row, author: "A1")
        try size(world, "A2", row, 32)
        try size(world, "A2", row, 31)
        _ = try world.node("A3").remove(Self.form, row, author: "A3")
        _ = try world.node("A3").add(Self.form, values, author: "A3")
        for node in ["A1", "A3", "A2"] { try await world.push(node) }
        let kinds = try desk.cases().map(\.kind).sorted()
        try #require(kinds == ["life", "twins"], "\(kinds)")
        let before = try desk.home.digests(school: "3641990001").mapValues(\.digest)
        let report = try desk.bulk(CaseFilter(form: nil, school: nil, kind: "life"), take: .alive, verdict, dryRun: false)
        #expect(try desk.cases().isEmpty, "merged")
        let entries = try desk.journal(batch: report.decision!)
        #expect(try entries.map(\.kind) == ["take", "merge"] && desk.journal().filter { $0.batch == nil }.map(\.kind) == ["bulk"], "\(entries)")
        _ = try desk.undo(report.decision!, verdict)
        #expect(try desk.cases().map(\.kind).sorted() == kinds)
        #expect(try desk.home.digests(school: "3641990001").mapValues(\.digest) == before)
    }

    /// A row that breaks a rule as two have changed it, deleted and kept alive by a late edit: it is held, so somebody must be asked (seed 1276).
    @Test func aBrokenRowThatLivesAgainIsAskedAboutAgain() async throws {
        let world = try await world(["A1", "A2"])
        let desk = OperatorDesk(try world.hub("province"))
        func write(_ node: String, _ row: RowID, _ title: String, _ value: Value) throws {
            try world.node(node).change(Self.form, row, [Self.field(title): value], author: node)
        }
        let broken = try world.node("A1").add(Self.form, [Self.field("class_number"): .text("20249801")], author: "A1")
        try write("A1", broken, "班级状态", .text("2"))
        try write("A1", broken, "结束年月", .text("2027-07"))
        try await world.settle()
        try write("A1", broken, "建班年月", .text("2026-09"))
        try write("A2", broken, "结束年月", .text("2026-07"))
        try await world.settle()
        let item = try #require(try desk.cases().first)
        let row = RowID(try #require(Int64(item.row)))
        try world.node("A1").remove(Self.form, row, author: "A1")
        try write("A2", row, "计划人数", .integer(33))
        try await world.push("A1")
        #expect(try desk.cases().isEmpty, "a dead row breaks nothing")
        try await world.push("A2")
        #expect(try desk.cases().map(\.kind).sorted() == ["life", "rule"] && desk.show(item.number).closedAt == nil)
        let life = try #require(try desk.cases().first { $0.kind == "life" })
        let alive = try #require(life.candidates.first { $0.values["life"] == "alive" }).candidate
        _ = try desk.take(life.number, candidate: alive, verdict)
        // Mended, it is closed for good, though the row dies and lives again.
        try await world.settle()
        try write("A2", row, "结束年月", .text("2028-07"))
        try await world.settle()
        #expect(try desk.cases().isEmpty)
        try world.node("A1").remove(Self.form, row, author: "A1")
        try write("A2", row, "计划人数", .integer(34))
        for node in ["A1", "A2"] { try await world.push(node) }
        #expect(try desk.cases().map(\.kind) == ["life"])
    }

    /// A clone among what a bulk marks as two: one entry in the journal, one undo, as of any other.
    @Test func aBulkHasItsClonesToo() async throws {
        let world = try await world(["A1", "A2"])
        _ = try await twins(world, ["A1": 31, "A2": 32])
        let province = try world.hub("province"), desk = OperatorDesk(province)
        _ = try await province.database.write { db in
            let sites = try Int64.fetchAll(db, sql: "SELECT site FROM zz_site").map { SiteID(key: $0) }
            let scope = ScopeID(key: try Int64.fetchOne(db, sql: "SELECT scope FROM zz_scope")!)
            return try CloneCase.open(db, scope: scope, older: sites[0], newer: sites[1], now: 0)
        }
        let report = try desk.bulk(CaseFilter(), take: .choice(.distinct), verdict, dryRun: false)
        #expect(report.decided == 2, "\(report)")
        let entries = try desk.journal().filter { $0.batch == nil }
        #expect(entries.map(\.kind) == ["bulk"] && entries.first?.decision == report.decision, "\(entries)")
        _ = try desk.undo(try #require(report.decision), verdict)
        #expect(Set(try desk.cases().map(\.kind)) == ["twins", "clone"])
    }
}
