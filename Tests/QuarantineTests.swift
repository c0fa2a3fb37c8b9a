import Testing

@testable import Hub
@testable import Node
@testable import Shared
@testable import zzsync

/// A segment that could not be understood, released after later ones of its site were merged: nothing of it is lost, and the
/// later word of the same author stands.
@Suite struct QuarantineTests {
    /// Everybody has seen a student's attributes.
    private func country(_ nodes: [String]) async throws -> (world: zzsync.World, home: HubHome, form: Form, row: RowID) {
        let world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: nodes)
        let rows = try world.node("A1").addExamples(author: "初始数据", school: "A")
        try await world.settle()
        let (form, row) = try #require(rows["general.student.attribute"])
        return (world, try world.hub("province"), form, row)
    }

    @Test func aReleasedSegmentIsMergedBelowWhatCameLater() async throws {
        let (world, home, form, row) = try await country(["A1"])
        let node = try world.node("A1")
        func write(_ field: String, _ text: String) throws {
            try node.change(form, row, [try form.field(named: field): .text(text)], author: "业务员")
        }

        try write("home_address", "示例路1号")
        try write("postal_code", "450001")
        _ = try await world.session("A1").run(pull: false)
        let number = try #require(try home.inbox.nextWaiting())
        try home.inbox.quarantine(number, reason: "a test cannot read it")
        try write("home_address", "示例路2号")
        try await world.sync("A1")
        #expect(try home.values(form, row)?[form.field(named: "home_address")] == .text("示例路2号"))
        #expect(try home.values(form, row)?[form.field(named: "postal_code")] != .text("450001"))

        #expect(try home.inbox.release(number))
        try await MergeWorker(home).drain()
        #expect(try home.values(form, row)?[form.field(named: "home_address")] == .text("示例路2号"), "the later word stands")
        #expect(try home.values(form, row)?[form.field(named: "postal_code")] == .text("450001"), "nothing is lost")
        #expect(try home.inbox.quarantined().isEmpty)
        #expect(try OperatorDesk(home).cases().isEmpty, "one author, no case")
        try await world.settle()
        #expect(Set(try world.digests(school: "A").values).count == 1)
    }

    /// Also where the later word was what stood there: it wrote nothing, and is his last one all the same.
    @Test func whatWasPutBackStaysPutBack() async throws {
        let (world, home, form, row) = try await country(["A1", "A2"])
        let address = try form.field(named: "home_address"), before = try #require(try home.values(form, row)?[address])
        func write(_ text: Value) async throws {
            try world.node("A1").change(form, row, [address: text], author: "业务员")
            _ = try await world.session("A1").run(pull: false)
        }
        try await write(.text("打错的"))
        let number = try #require(try home.inbox.nextWaiting())
        try home.inbox.quarantine(number, reason: "a test cannot read it")
        try await write(before)
        try await world.sync("A1")
        #expect(try home.inbox.release(number))
        try await world.settle()
        for name in ["A1", "A2"] { #expect(try world.node(name).values(form, row)?[address] == before) }
        #expect(try OperatorDesk(home).cases().isEmpty)
        #expect(Set(try world.digests(school: "A").values).count == 1)
    }

    /// Who deletes a row has no more to say of what he had written in it.
    @Test(arguments: [true, false]) func whoDeletedTheRowSinceIsNotAskedAboutHimself(isNew: Bool) async throws {
        let (world, home, form, known) = try await country(["A1", "A2"])
        let node = try world.node("A1")
        let row = isNew ? try node.add(form, [:], author: "业务员") : known
        if !isNew { try node.change(form, row, [try form.field(named: "home_address"): .text("示例路1号")], author: "业务员") }
        _ = try await world.session("A1").run(pull: false)
        let number = try #require(try home.inbox.nextWaiting())
        try home.inbox.quarantine(number, reason: "a test cannot read it")
        try node.remove(form, row, author: "业务员")
        try await world.sync("A1")
        #expect(try home.inbox.release(number))
        try await world.settle()
        #expect(try OperatorDesk(home).cases().isEmpty && home.values(form, row) == nil && node.values(form, row) == nil)
        #expect(Set(try world.digests(school: "A").values).count == 1)
    }

    /// A clerk is told that the hub holds what it cannot read, and so does the receipt say.
    @Test func whatLiesThereIsNotCalledMerged() async throws {
        let (world, home, form, row) = try await country(["A1"])
        let node = try world.node("A1")
        for (field, isRead) in [("home_address", false), ("postal_code", true)] {
            try node.change(form, row, [try form.field(named: field): .text("450001")], author: "业务员")
            _ = try await world.session("A1").run(pull: false)
            if !isRead { try home.inbox.quarantine(try #require(try home.inbox.nextWaiting()), reason: "a test cannot read it") }
        }
        try await world.sync("A1")
        let report = try await world.session("A1").run()
        let status = try node.status()
        #expect(status.mergedSeq == status.sealedSeq && status.quarantined == 1 && report.quarantined == 1)
        let scope = try #require(try node.scope())
        let receipt = try await world.session("A1").client.receipt(scope)
        #expect(receipt.merged == status.mergedSeq && receipt.quarantined == [[receipt.merged - 1, receipt.merged - 1]])
        for segment in try home.inbox.quarantined() { #expect(try home.inbox.release(segment.number)) }
        try await world.settle()
        #expect(try node.status().quarantined == 0)
        #expect(try await world.session("A1").client.receipt(scope).quarantined == nil)
    }

    /// Its changes are in no extent of their own: a node that inherits them must still be told that they are merged, or it would wait
    /// for ever for its parent's word on their cells, and pass over what others wrote there since.
    @Test func aNodePutBackInheritsAReleasedSegment() async throws {
        let (world, home, form, row) = try await country(["A1", "A2"])
        let address = try form.field(named: "home_address")
        func write(_ name: String, _ field: String, _ text: String) throws {
            try world.node(name).change(form, row, [try form.field(named: field): .text(text)], author: "\(name) 业务员")
        }

        try write("A1", "home_address", "示例路1号")
        _ = try await world.session("A1").run(pull: false)
        try world.backup("A1")
        let number = try #require(try home.inbox.nextWaiting())
        try home.inbox.quarantine(number, reason: "a test cannot read it")
        try write("A1", "postal_code", "450001")
        try await world.sync("A1")
        #expect(try home.inbox.release(number))
        try await MergeWorker(home).drain()
        try await world.sync("A2")
        try write("A2", "home_address", "示例路2号")
        try await world.sync("A2")

        try world.restore("A1", .database)
        try await world.settle()
        #expect(try world.node("A1").values(form, row)?[address] == .text("示例路2号"))
        #expect(Set(try world.digests(school: "A").values).count == 1)
        #expect(try OperatorDesk(home).cases().isEmpty)
    }

    /// Two segments of a site are released one after the other, below a third: the first of them, merged a moment ago, is no later word.
    @Test func segmentsAreReleasedInTheOrderOfTheirSeqs() async throws {
        let (world, home, form, row) = try await country(["A1"])
        let node = try world.node("A1")
        func write(_ field: String, _ text: String) async throws {
            try node.change(form, row, [try form.field(named: field): .text(text)], author: "业务员")
            _ = try await world.session("A1").run(pull: false)
        }

        var numbers: [Int64] = []
        for address in ["示例路1号", "示例路2号"] {
            try await write("home_address", address)
            numbers.append(try #require(try home.inbox.nextWaiting()))
            try home.inbox.quarantine(numbers.last!, reason: "a test cannot read it")
        }
        try await write("postal_code", "450001")
        try await MergeWorker(home).drain()
        for number in numbers {
            #expect(try home.inbox.release(number))
            try await MergeWorker(home).drain()
        }
        #expect(try home.values(form, row)?[form.field(named: "home_address")] == .text("示例路2号"), "the later word stands")
        #expect(try home.values(form, row)?[form.field(named: "postal_code")] == .text("450001"))
        #expect(try OperatorDesk(home).cases().isEmpty, "one author, no case")
        try await world.settle()
        #expect(Set(try world.digests(school: "A").values).count == 1)
    }

    /// A case shows an earlier word of the site, at a position after its later changes: what is released is no less late for that.
    @Test func aReleasedSegmentJoinsACaseThatShowsAnEarlierWord() async throws {
        let (world, home, form, row) = try await country(["A1", "A2"])
        let address = try form.field(named: "home_address")
        func write(_ name: String, _ field: String, _ text: String) async throws {
            try world.node(name).change(form, row, [try form.field(named: field): .text(text)], author: "\(name) 业务员")
            _ = try await world.session(name).run(pull: false)
        }

        try await write("A1", "home_address", "示例路1号")
        try await MergeWorker(home).drain()
        try await write("A1", "home_address", "示例路2号")
        let number = try #require(try home.inbox.nextWaiting())
        try home.inbox.quarantine(number, reason: "a test cannot read it")
        try await write("A1", "postal_code", "450001")
        try await MergeWorker(home).drain()
        try await write("A2", "home_address", "示例路9号")
        try await MergeWorker(home).drain()
        #expect(try home.values(form, row)?[address] == .text("示例路1号"), "the case shows the smaller one")

        #expect(try home.inbox.release(number))
        try await MergeWorker(home).drain()
        let candidates = try OperatorDesk(home).cases().flatMap(\.candidates).compactMap { $0.values["home_address"] }
        #expect(Set(candidates).isSuperset(of: ["示例路2号", "示例路9号"]), "nothing is lost")
    }

    /// A sibling's page shows the cell as it was without the quarantined segment: handed back to a hub that was put back, with its inbox or
    /// without, it must not cover that segment, whoever of the two comes first.
    @Test(arguments: [HomeCopy.Part.database, .home], [["A2", "A1"], ["A1", "A2"]])
    func aPageThatComesBackCoversNothingOfWhatLayInQuarantine(part: HomeCopy.Part, order: [String]) async throws {
        let stage = try await RestoreTests.Stage()
        try stage.world.backup("province")
        try stage.write("A1", "home_address", "第一次")
        try await stage.world.sync("A1")
        try stage.write("A1", "home_address", "第二次")
        _ = try await stage.quarantine("A1")
        try stage.write("A1", "guardian_name", "读得懂")
        try await stage.world.sync("A1")
        try await stage.world.sync("A2")
        #expect(try stage.value("A2", "home_address") == "第一次")

        try stage.world.restore("province", part)
        for who in order { try await stage.world.sync(who) }
        #expect(try stage.value("province", "home_address") == "第二次")
        try await stage.settleAndAgree()
        #expect(try stage.value("ministry", "home_address") == "第二次")
    }
}
