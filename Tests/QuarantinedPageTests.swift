import Crypto
import GRDB
import Testing

@testable import Hub
@testable import Node
@testable import Shared
@testable import zzsync

/// Rule 5 and quarantine: what nobody above could read is not judged, whatever was merged after it, and stands where it was written.
@Suite struct QuarantinedPageTests {
    typealias Stage = RestoreTests.Stage

    /// Somebody else has written the cell unseen, or the same value, or has deleted the row.
    ///
    /// - Parameter mistake: of the hub's pages, which shows that the test would notice.
    @Test(arguments: ["another", "equal", "deleted"], [nil, Mistake.silent]) func anEntryStandsAtItsSchool(rival: String, mistake: Mistake?) async throws {
        let stage = try await Stage()
        switch rival {
        case "another": try stage.write("A2", "home_address", "乙写的")
        case "equal": try stage.write("A2", "home_address", "甲写的")
        default: try stage.world.node("A2").remove(stage.form, stage.row, author: "A2")
        }
        try await stage.world.sync("A2")
        try stage.write("A1", "home_address", "甲写的")
        let number = try await stage.quarantine("A1")
        for text in ["读得懂", "也读得懂"] {
            try stage.write("A1", "guardian_name", text)
            try await stage.world.push("A1")
            try await stage.fetch("A1", mistake)
        }
        #expect(try (stage.value("A1", "home_address") == "甲写的") == (mistake == nil || rival == "equal"))
        guard mistake == nil else { return }
        #expect(try stage.unsettled("A1") > 0)
        let steps = try stage.world.node("A1").trace(form: stage.form, row: stage.row).map(\.step)
        #expect(steps.first == "quarantined", "nobody has judged it: \(steps)")

        try await stage.release(number)
        #expect(try stage.cases() == ["another": ["cell"], "equal": [], "deleted": ["life"]][rival])
        try await stage.settleAndAgree()
        #expect(try stage.unsettled("A1") == 0)
        if rival == "equal" { #expect(try stage.value("ministry", "home_address") == "甲写的") }
    }

    /// The parent's own write meets what a child hub has sent.
    @Test(arguments: [nil, Mistake.silent]) func anEntryStandsAtAHub(mistake: Mistake?) async throws {
        let stage = try await Stage()
        let ministry = try stage.world.hub("ministry")
        try ministry.change(stage.form, stage.row, [stage.form.field(named: "home_address"): .text("部里写的")], author: "部", now: 0)
        try stage.write("A1", "home_address", "甲写的")
        try await stage.world.push("A1")
        let number = try await stage.quarantine("province")
        try stage.write("A1", "guardian_name", "读得懂")
        try await stage.world.push("A1")
        try await stage.world.push("province")
        #expect(try stage.value("ministry", "guardian_name") == "读得懂")
        try await stage.fetch("province", mistake)
        guard mistake == nil else { return #expect(try stage.value("province", "home_address") == "部里写的") }
        #expect(try stage.value("province", "home_address") == "甲写的")

        try await stage.release(number, at: "ministry")
        #expect(try stage.cases("ministry") == ["cell"])
        try await stage.settleAndAgree()
    }

    /// What its school has written since, and others over that, was judged: it comes down meanwhile, in the same cell and in others.
    @Test(arguments: [nil, Mistake.floor]) func whatWasWrittenOverLaterWordsComesDown(mistake: Mistake?) async throws {
        let stage = try await Stage()
        let fields = ["home_address", "guardian_name"]
        try stage.write("A1", "home_address", "读不懂")
        try stage.write("A1", "household_address", "只在这里")
        let number = try await stage.quarantine("A1")
        for field in fields { try stage.write("A1", field, "甲后写的") }
        try await stage.world.push("A1")
        try await stage.fetch("A1", mistake)
        try await stage.world.sync("A2")
        for field in fields { try stage.write("A2", field, "乙看过再写的") }
        try await stage.world.sync("A2")
        for _ in 1...2 {
            try await stage.world.push("A1")
            try await stage.fetch("A1", mistake)
            guard mistake == nil else { return #expect(try stage.value("A1", "guardian_name") == "甲后写的") }
            for field in fields { #expect(try stage.value("A1", field) == "乙看过再写的") }
            #expect(try stage.value("A1", "household_address") == "只在这里")
            try stage.write("A1", "postal_code", "450001")
        }

        try await stage.release(number)
        try await stage.settleAndAgree()
        #expect(try stage.value("A1", "guardian_name") == "乙看过再写的")
        #expect(try stage.value("ministry", "household_address") == "只在这里")
    }

    /// Its school has deleted the row since: what was said of it before waits no more, and the row comes whole when it is kept.
    @Test func aRowThatWasDeletedSinceComesBackWhole() async throws {
        let stage = try await Stage()
        try stage.write("A1", "home_address", "从前的")
        try await stage.world.settle()
        try stage.write("A1", "home_address", "读不懂")
        let number = try await stage.quarantine("A1")
        try stage.write("A2", "guardian_name", "没见过删除")
        try await stage.world.sync("A2")
        try stage.world.node("A1").remove(stage.form, stage.row, author: "A1")
        try await stage.world.sync("A1")
        #expect(try stage.cases() == ["life"])
        #expect(try stage.value("A1", "home_address") == "从前的", "no row without values")

        try await stage.release(number)
        try await stage.settleAndAgree()
    }

    /// It was released and judged, and the hub put back to before that: it lies in quarantine again, and waits again.
    @Test func aHubThatWasPutBackToBeforeTheRelease() async throws {
        let stage = try await Stage()
        try stage.write("A1", "home_address", "甲写的")
        let number = try await stage.quarantine("A1")
        try stage.write("A1", "guardian_name", "读得懂")
        try await stage.world.sync("A1")
        try stage.world.backup("province")
        try await stage.release(number)
        try await stage.world.sync("A1")
        #expect(try stage.unsettled("A1") == 0)

        try stage.world.restore("province", .home)
        try stage.write("A2", "home_address", "乙写的")
        try await stage.world.sync("A2")
        try await stage.world.sync("A1")
        #expect(try stage.value("A1", "home_address") == "甲写的")
        #expect(try stage.unsettled("A1") > 0)
        try await stage.release(try #require(try stage.world.hub("province").inbox.quarantined().first).number)
        #expect(try stage.cases() == ["cell"])
        try await stage.settleAndAgree()
    }

    /// A node that was put back goes on as a new site, and has sent it all the same.
    @Test func itStandsAtALaterIncarnation() async throws {
        let stage = try await Stage()
        try stage.write("A1", "home_address", "甲写的")
        let number = try await stage.quarantine("A1")
        try stage.world.backup("A1")
        try stage.write("A1", "guardian_name", "读得懂")
        try await stage.world.sync("A1")
        try stage.write("A2", "home_address", "乙写的")
        try await stage.world.sync("A2")

        let old = try stage.site("A1")
        try stage.world.restore("A1", .database)
        try await stage.world.sync("A1")
        #expect(try stage.site("A1") != old)
        #expect(try stage.value("A1", "home_address") == "甲写的")
        #expect(try stage.value("A1", "guardian_name") == "读得懂", "the lost tail comes back")
        try await stage.release(number)
        #expect(try stage.cases() == ["cell"])
        try await stage.settleAndAgree()
    }

    /// As of its end, not as of now: what was released later than that was not judged then.
    @Test func aPageTellsOfItsEnd() async throws {
        let stage = try await Stage(["A1"])
        let home = try stage.world.hub("province")
        try stage.write("A1", "home_address", "读不懂")
        let number = try await stage.quarantine("A1")
        try stage.write("A1", "guardian_name", "读得懂")
        try await stage.world.push("A1")
        let (scope, site, seq) = try home.inbox.end(of: number)
        func pages() throws -> [LogPageInfo] {
            try home.database.read { db in
                var pages: [LogPageInfo] = []
                let pager = LogPager(catalogue: home.catalogue, hub: home.keys.site, inbox: home.inbox)
                while let page = try pager.page(db, scope: scope, after: pages.last?.upTo ?? .none, bytesMax: 1)?.page { pages.append(page) }
                return pages
            }
        }
        let before = try pages()
        #expect(before.last?.merged[site]?.seq == seq.advanced(by: 1))
        #expect(before.allSatisfy { $0.quarantined == [site: [seq...seq]] && !$0.merged(of: site).contains(seq) })
        try await stage.release(number)
        let after = try pages()
        #expect(after.count == before.count + 1)
        #expect(after.dropLast().map(\.quarantined) == before.map(\.quarantined))
        #expect(after.last?.quarantined.isEmpty == true && after.last?.merged(of: site).contains(seq) == true)
    }

    @Test func whichSeqsAreMerged() {
        func range(_ first: Int64, _ last: Int64) -> ClosedRange<Seq> { Seq(first)...Seq(last) }
        let merged = MergedSeqs(upTo: Seq(9), quarantined: [range(2, 4), range(7, 7), range(12, 13)])
        #expect(merged.ranges == [range(1, 1), range(5, 6), range(8, 9)])
        #expect((1...13).filter { merged.contains(Seq(Int64($0))) } == [1, 5, 6, 8, 9])
        #expect(merged.floor == Seq(1))
        #expect(MergedSeqs(upTo: Seq(9)).ranges == [range(1, 9)])
        #expect(MergedSeqs(upTo: Seq(9), quarantined: [range(1, 3), range(8, 11)]).ranges == [range(4, 7)])
        #expect(MergedSeqs(upTo: .none, quarantined: [range(1, 3)]).ranges.isEmpty)
        #expect(MergedSeqs.joined([range(5, 6), range(2, 4), range(8, 9), range(8, 8)]) == [range(2, 6), range(8, 9)])
    }
}

extension RestoreTests.Stage {
    /// Sends what a child has written, and the parent cannot read it.
    func quarantine(_ child: String) async throws -> Int64 {
        let inbox = try world.hub(child == "province" ? "ministry" : "province").inbox
        _ = try await world.session(child).run(pull: false)
        let number = try #require(try inbox.nextWaiting())
        try inbox.quarantine(number, reason: "a test cannot read it")
        #expect(try inbox.nextWaiting() == nil)
        return number
    }

    fileprivate func release(_ number: Int64, at hub: String = "province") async throws {
        #expect(try world.hub(hub).inbox.release(number))
        try await MergeWorker(world.hub(hub)).drain()
    }

    fileprivate func fetch(_ child: String, _ mistake: Mistake?) async throws {
        let session = try world.session(child)
        guard let mistake else { return _ = try await session.run(push: false) }
        let parent = world.hubs[child == "province" ? "ministry" : "province"]!
        let line = Mistaken(endpoint: parent.endpoint, hub: parent.home, mistake: mistake)
        let client = HubClient(line, keys: session.replica.keys, hub: session.hub, label: "a mistaken hub")
        _ = try await SyncSession(replica: session.replica, client: client, hub: session.hub).run(push: false)
    }

    /// Changes of a node that wait for its hub's word.
    fileprivate func unsettled(_ node: String) throws -> Int {
        try world.node(node).database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM zz_unsettled")! }
    }
}

/// How a hub's pages could tell of quarantine wrongly.
enum Mistake {
    /// Not at all.
    case silent
    /// Nothing is merged from the first segment in quarantine on.
    case floor
}

private struct Mistaken: Transport {
    let endpoint: HubEndpoint
    let hub: HubHome
    let mistake: Mistake

    func send(_ request: WireRequest) async throws(Failure) -> WireReply {
        var reply = await endpoint.answer(request)
        guard request.target.hasPrefix("/v1/log"), reply.status == 200 else { return reply }
        do {
            let verified = try SegmentCodec.verify(reply.body, key: hub.keys.signing.publicKey)
            let header = verified.header
            var body = try SegmentCodec.decode(verified, predictors: hub.catalogue.predictors)
            #expect(body.page?.quarantined.isEmpty == false)
            if mistake == .floor {
                for site in body.page!.merged.keys { body.page!.merged[site]!.seq = body.page!.merged(of: site).floor }
            }
            body.page!.quarantined = [:]
            reply.body = try SegmentCodec.seal(
                body: body, kind: header.kind, scope: header.scope, site: header.site, firstSeq: header.firstSeq, lastSeq: header.lastSeq,
                cursor: header.cursor, epoch: header.epoch, previousHash: header.previousHash, catalogueHash: header.catalogueHash,
                predictors: hub.catalogue.predictors, level: 3, signingKey: hub.keys.signing
            ).bytes
            reply.headers[ReplySignature.headerName.lowercased()] = ReplySignature.header(
                status: reply.status, target: request.target, body: reply.body, keys: hub.keys)
        } catch {
            throw Failure(.damaged, "The page cannot be made again: \(error)", next: "Mend the test.")
        }
        return reply
    }
}
