// Hubs put back from backups: what random histories and whole simulated countries found, each as small as it can be told.

import Foundation
import GRDB
import Testing

@testable import Hub
@testable import Node
@testable import Shared
@testable import zzsync

@Suite(.serialized) struct HubRestoreEdgeTests {
    typealias Stage = RestoreTests.Stage

    /// The copy is older than the school's first sync: its segments lie in the inbox of a hub that has never heard of the school, and
    /// must neither stop the merges of others nor be lost.
    @Test(arguments: [true, false]) func aSchoolThatTheDatabaseHasForgotten(wasMerged: Bool) async throws {
        let world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: ["A1"])
        try world.backup("ministry")
        let (form, row) = try #require(try world.node("A1").addExamples(author: "A1", school: "A")["general.student.attribute"])
        if wasMerged { try await world.settle() }
        try world.node("A1").change(form, row, [try form.field(named: "home_address"): .text("还没有合并")], author: "A1")
        try await world.sync("A1")
        _ = try await world.session("province").run(pull: false)

        try world.restore("ministry", .database)
        try await MergeWorker(world.hub("ministry")).drain()
        #expect(try world.hub("ministry").epoch == 2)
        try await world.settle()
        #expect(try world.hub("ministry").values(form, row)?[form.field(named: "home_address")] == .text("还没有合并"))
        #expect(Set(try world.digests(school: "A").values).count == 1)
    }

    /// A hub that was put back shares less with an incarnation than it did, says so when an older one introduces it, and the answer is lost:
    /// the hub knows the site from then on, which would send what the older one had signed, to be refused for ever (seed 5050).
    @Test func anIncarnationWhoseIntroductionWasNotAnswered() async throws {
        let stage = try await Stage(["A1"])
        let world = stage.world
        try world.backup("province")
        try stage.write("A1", "home_address", "前世写的")
        try await world.settle()
        try world.backup("A1")
        try stage.write("A1", "guardian_name", "后来写的")
        try await world.settle()
        try world.restore("A1", .home)
        try stage.write("A1", "postal_code", "450001")
        try await world.settle()
        try world.restore("province", .home)

        let session = try world.session("A1")
        let old = try #require(Incarnation.older(session.replica.keysPath).first)
        let heads = try await world.node("A1").database.read { db in try ScopeLink.all(db).map { try SyncSession.heads(db, $0) } }
        let answer = try await session.client.signing(with: old).incarnate(
            IncarnationRequest(predecessor: old.site, keys: session.replica.keys, scopes: heads))
        let sealed = try await world.node("A1").database.read { try Int64.fetchOne($0, sql: "SELECT max(last) FROM zz_outbox") }
        #expect(answer.scopes[0].seq < sealed ?? 0, "or nothing would have to be signed again")
        try await stage.settleAndAgree()
        for (field, text) in [("home_address", "前世写的"), ("postal_code", "450001")] {
            let values = try world.hub("ministry").values(stage.form, stage.row)
            #expect(try values?[stage.form.field(named: field)] == .text(text), "\(field)")
        }
    }

    /// The node's keys are put back alone: its database names the later site. So is the hub, which knows the earlier one alone (seed 7015).
    @Test func keysOfAnEarlierSiteAtAHubThatKnowsNoOther() async throws {
        let stage = try await Stage(["A1"])
        let world = stage.world
        try world.backup("province")
        try world.backup("A1")
        try stage.write("A1", "home_address", "前世写的")
        try await world.settle()
        try world.restore("A1", .home)
        try stage.write("A1", "guardian_name", "今生写的")
        try await world.settle()
        try world.restore("A1", .keys)
        try world.restore("province", .home)
        try stage.write("A1", "postal_code", "450001")
        try await stage.settleAndAgree()
        for (field, text) in [("guardian_name", "今生写的"), ("postal_code", "450001")] {
            let values = try world.hub("ministry").values(stage.form, stage.row)
            #expect(try values?[stage.form.field(named: field)] == .text(text), "\(field)")
        }
    }

    /// The copy knows the school but not the site, which came later, and of which nothing was merged yet: no log tells that the hub was put
    /// back. Its segment was taken for a stranger's, and a new incarnation's lay in quarantine for ever, its rows never came (seed 1150).
    @Test(arguments: [true, false]) func aSiteThatTheDatabaseHasForgotten(isIncarnation: Bool) async throws {
        let stage = try await Stage(["A1"])
        let (world, child) = (stage.world, isIncarnation ? "A1" : "A2")
        if isIncarnation {
            try world.backup("A1")
            try stage.write("A1", "home_address", "前世写的")
            try await world.settle()
        }
        try world.backup("province")
        if isIncarnation { try world.restore("A1", .home) } else { try await world.join("A2") }
        let department = try world.catalogue.form(named: "general.school.department")
        let row = try world.node(child).add(department, [department.key.last!: .text("D-1")], author: child)
        _ = try await world.session(child).run(pull: false)
        #expect(try world.hub("province").inbox.nextWaiting() != nil)

        try world.restore("province", .database)
        let province = try world.hub("province")
        #expect(province.epoch == 2, "its inbox tells")
        try await MergeWorker(province).drain()
        #expect(try province.inbox.quarantined().isEmpty)
        try await stage.settleAndAgree()
        #expect(try world.hub("ministry").values(department, row) != nil)
        #expect(province.epoch == 2, "once is enough")
        #expect(try province.inbox.waitingCount() == 0)
    }

    /// The hub was put back between a child's hello and its upload: what the copy lacks of the child's must be merged first, with what its
    /// authors had seen of the log that survives. Taken at once it would count all before it as merged, and that was lost.
    @Test func aHubPutBackInTheMiddleOfASync() async throws {
        let stage = try await Stage()
        try stage.world.backup("province")
        try stage.write("A1", "home_address", "备份以后")
        try await stage.world.sync("A1")
        try stage.write("A2", "household_address", "别人的")
        try await stage.world.sync("A2")
        let (folder, province) = (stage.world.folder, try stage.world.hub("province"))
        try HomeCopy.take(province.directory, to: "\(folder)/put-back")
        try HomeCopy.putBack("\(folder)/province.copy", to: "\(folder)/put-back", .database)
        let putBack = try HubHome.open("\(folder)/put-back", catalogue: Embedded.catalogue)
        #expect(putBack.epoch == 2)

        try stage.write("A1", "guardian_name", "还原之前")
        let session = try stage.world.session("A1")
        let line = Straddling(
            hello: stage.world.hubs["province"]!.endpoint, rest: HubEndpoint(HubService(putBack, worker: MergeWorker(putBack))))
        let client = HubClient(line, keys: session.replica.keys, hub: session.hub, label: "province")
        let straddling = SyncSession(replica: session.replica, client: client, hub: session.hub)
        let scope = try #require(try putBack.inbox.chains().first).scope
        let head = try putBack.inbox.head(scope, session.replica.keys.site).last
        let before = try await session.replica.database.read { try ScopeLink.load($0, scope)! }
        let refused = await #expect(throws: Failure.self) { try await straddling.run(pull: false) }
        #expect(refused?.kind == .busy)
        #expect(try putBack.inbox.head(scope, session.replica.keys.site).last == head, "not taken")
        let stopped = await #expect(throws: Failure.self) { try await straddling.run(push: false) }
        #expect(stopped?.kind == .busy)
        let after = try await session.replica.database.read { try ScopeLink.load($0, scope)! }
        #expect(after.cursor == before.cursor && after.epoch == before.epoch, "no page of a log that both have not agreed on")

        try stage.world.restore("province", .database)
        try await stage.settleAndAgree()
        for (field, text) in [("home_address", "备份以后"), ("household_address", "别人的"), ("guardian_name", "还原之前")] {
            #expect(try stage.value("ministry", field) == text)
        }
    }

    /// The hub that answers a hello is not the one that the rest of the sync meets.
    private struct Straddling: Transport {
        let hello: HubEndpoint
        let rest: HubEndpoint
        func send(_ request: WireRequest) async throws(Failure) -> WireReply {
            await (request.target.hasPrefix("/v1/hello") ? hello : rest).answer(request)
        }
    }

    /// The whole home was put back, and nobody has told it: its next decision stands where the lost one stood, and is another record.
    @Test func aDecisionAtThePositionOfALostOne() async throws {
        let stage = try await Stage()
        for who in ["A1", "A2"] { try stage.write(who, "home_address", who) }
        for who in ["A1", "A2"] { try await stage.world.sync(who) }
        try stage.world.backup("province")
        for (time, text) in ["第一次决定", "第二次决定"].enumerated() {
            let desk = OperatorDesk(try stage.world.hub("province"))
            let open = try #require(desk.cases().first)
            _ = try desk.set(open.number, [stage.form.field(named: "home_address"): .text(text)], Verdict(who: "操作员", reason: "核实"))
            if time == 0 {
                try await stage.world.sync("A1")
                try stage.world.restore("province", .home)
            }
        }
        try await stage.settleAndAgree()
        #expect(try stage.cases().isEmpty && stage.cases("ministry").isEmpty, "nobody is asked about a record")
        let records = try stage.world.hub("ministry").look { try String.fetchAll($0, sql: "SELECT result FROM system_decision") }
        for text in ["第一次决定", "第二次决定"] { #expect(records.contains { $0.contains(text) }, "\(records)") }
    }

    /// What a child sealed before its first hello met a hub of a later epoch belongs to none: it comes again all the same when that hub is
    /// put back, below what was written over it.
    @Test func aChildWhoseFirstHelloMetALaterEpoch() async throws {
        let world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: ["A1"])
        try world.hub("province").startEpoch()
        try world.backup("province")
        let (form, row) = try #require(try world.node("A1").addExamples(author: "A1", school: "A")["general.student.attribute"])
        let address = try form.field(named: "home_address")
        try await world.sync("A1")
        try world.node("A1").change(form, row, [address: .text("后来写的")], author: "A1")
        try await world.sync("A1")

        try world.restore("province", .home)
        try await world.settle()
        #expect(try world.hub("province").values(form, row)?[address] == .text("后来写的"))
        #expect(Set(try world.digests(school: "A").values).count == 1)
    }

    /// The copy is of the time between a hub's new epoch and its child's word in it. Put back, the hub has forgotten that word, and the
    /// child, which has had no page since, would not give it again: what it had sent stayed in the inbox, unmerged (seed 1106).
    @Test func aCopyOfBeforeItsChildHasAgreed() async throws {
        let stage = try await Stage()
        try stage.world.backup("province")
        try stage.write("A1", "home_address", "备份以后")
        try await stage.world.push("A1")
        try stage.world.restore("province", .database)
        try stage.world.backup("province")
        #expect(try stage.world.hub("province").status().waiting == 1)
        try await stage.world.push("A1")
        #expect(try stage.world.hub("province").status().waiting == 0)
        try stage.world.restore("province", .home)
        #expect(try stage.world.hub("province").status().waiting == 1)
        try await stage.settleAndAgree()
        #expect(try stage.world.hub("province").status().waiting == 0)
        #expect(try stage.value("ministry", "home_address") == "备份以后")
    }

    /// A sibling's page tells a row that died in the lost time without its values. Its author sends it again, which the delete covers, and has edited
    /// it unseen: the row that is kept for that is whole.
    @Test func aRowThatComesBackDeadKeepsWhatItsAuthorSendsAgain() async throws {
        let stage = try await Stage()
        let (home, form) = (try stage.world.hub("province"), try #require(Embedded.catalogue["general.class"]))
        try stage.world.backup("province")
        let number = try form.field(named: "class_number"), remark = try form.field(named: "remark"), name = try form.field(named: "class_name")
        let rows = try ["一", "二"].map { try stage.world.node("A1").add(form, [number: .text("20249801"), name: .text("一班"), remark: .text($0)], author: "A1") }
        try await stage.world.push("A1")
        let desk = OperatorDesk(home)
        _ = try desk.merge(try #require(desk.cases().first).number, Verdict(who: "操作员", reason: "同一个班"))
        try await stage.world.sync("A2")
        let gone = try #require(rows.max())

        try stage.world.restore("province", .home)
        try await stage.world.sync("A2")
        try stage.world.node("A1").change(form, gone, [remark: .text("没见过合并")], author: "A1")
        try await stage.world.sync("A1")
        #expect(try stage.cases().contains("life"))
        #expect(try stage.world.hub("province").values(form, gone)?[name] == .text("一班"), "whole")
        try await stage.settleAndAgree()
        #expect(try stage.world.node("A2").values(form, gone).map { $0[name] == .text("一班") } ?? true)
    }

    /// Of a case the pages tell one candidate: the others that came back lay at the hub alone, and it was put back again.
    @Test func aCandidateThatLayAtAHubThatIsPutBackTwice() async throws {
        let stage = try await Stage()
        try await stage.disputeAddress()
        try stage.world.backup("province")
        let desk = OperatorDesk(try stage.world.hub("province"))
        _ = try desk.set(#require(desk.cases().first).number, [stage.form.field(named: "home_address"): .text("决定的")], Verdict(who: "操作员", reason: "核实"))
        try await stage.world.sync("A1")
        for time in 1...3 {
            try stage.world.restore("province", .home)
            try await stage.world.sync("A1")
            #expect(try candidates(stage, "home_address").contains("决定的"), "put back \(time) times")
            // All has come down: the page that was handed back waits for nothing.
            try await stage.world.sync("A1")
            #expect(try stage.value("A1", "home_address") == "乙写的")
        }
        try await stage.settleAndAgree()
    }

    /// A page brings back what a node wrote after the copy of it, before the node itself sends again what it wrote before the copy: that lies
    /// behind, and does not tell that who goes on from the copy has seen the other (seed 1367).
    @Test func aWordOfAfterTheCopyThatCameBackBeforeItsSite() async throws {
        let stage = try await Stage()
        let world = stage.world
        try world.backup("province")
        try stage.write("A1", "guardian_name", "副本以前")
        try await world.sync("A1")
        try world.backup("A1")
        try stage.write("A1", "home_address", "副本以后")
        try await world.sync("A1")
        try await world.sync("A2")

        try world.restore("province", .home)
        try await world.sync("A2")
        #expect(try stage.value("province", "home_address") == "副本以后", "the other node gave it back")
        try await world.sync("A1")
        try world.restore("A1", .home)
        try stage.write("A1", "home_address", "没见过")
        try await world.sync("A1")
        #expect(try stage.cases() == ["cell"])
        #expect(try candidates(stage, "home_address") == ["副本以后", "没见过"])
        try await stage.settleAndAgree()
    }

    /// What survives is the value, not that the lost log asked about it. A school that was shown it in place of a word of its own, and wrote over it,
    /// has not seen that word: sent again one after the other they are no correction.
    @Test func aCaseAboutAValueThatSurvived() async throws {
        let stage = try await Stage(["A1", "A2", "A3"])
        try stage.write("A3", "home_address", "丁写的")
        try await stage.world.sync("A3")
        try await stage.world.sync("A1")
        try stage.world.backup("province")
        try stage.write("A2", "home_address", "乙没见过丁")
        try await stage.world.push("A2")
        try stage.write("A1", "home_address", "终没见过乙")
        try await stage.world.sync("A1")
        #expect(try stage.value("A1", "home_address") == "丁写的", "as the hub shows the case")
        try stage.write("A1", "home_address", "后没见过终")
        try stage.world.restore("province", .home)
        try await stage.world.sync("A1")
        #expect(try Set(["丁写的", "终没见过乙", "后没见过终"]).isSubset(of: candidates(stage, "home_address")))
        try await stage.world.sync("A2")
        #expect(try candidates(stage, "home_address").contains("乙没见过丁"))
        #expect(try stage.cases() == ["cell"])
        try await stage.settleAndAgree()
    }

    private func candidates(_ stage: Stage, _ field: String) throws -> Set<String> {
        Set(try OperatorDesk(stage.world.hub("province")).cases().flatMap(\.candidates).compactMap { $0.values[field] })
    }

    /// An edit and a delete were decided in the lost time: what is handed back covers the one that comes again, and its sender, who has
    /// not heard of the decision, must get it: the row whole, or its end.
    @Test(arguments: ["alive", "dead"]) func aDecisionOnLifeThatCoversWhatComesAgain(ruling: String) async throws {
        let stage = try await Stage()
        let department = try stage.world.catalogue.form(named: "general.school.department")
        let row = try stage.world.node("A1").add(department, [department.key.last!: .text("D-1")], author: "A1")
        try await stage.world.settle()
        try stage.world.backup("province")
        let remark = try department.field(named: "remark")
        try stage.world.node("A2").change(department, row, [remark: .text("还在用")], author: "A2")
        try await stage.world.sync("A2")
        try stage.world.node("A1").remove(department, row, author: "A1")
        try await stage.world.push("A1")
        let desk = OperatorDesk(try stage.world.hub("province"))
        let open = try #require(desk.cases().first)
        let chosen = try #require(open.candidates.firstIndex { $0.values["life"] == ruling })
        _ = try desk.take(open.number, candidate: chosen + 1, Verdict(who: "操作员", reason: "核实"))
        let (winner, loser) = ruling == "alive" ? ("A2", "A1") : ("A1", "A2")
        try await stage.world.sync(winner)

        try stage.world.restore("province", .database)
        for who in [winner, loser, loser] { try await stage.world.sync(who) }
        try await stage.settleAndAgree()
        #expect(try stage.world.node(loser).values(department, row)?[remark] == (ruling == "alive" ? .text("还在用") : nil))
    }

    /// The ministry lost a row's birth and its delete, and the province holds but the page that told the delete, which has no values. What was
    /// sent of the row before that is covered by the delete when it comes again, and was dropped: kept below, the row lived at the ministry with
    /// one group alone (seed 1020).
    @Test func aRowOfALostTombstoneThatLivesAgain() async throws {
        let stage = try await Stage()
        let department = try stage.world.catalogue.form(named: "general.school.department")
        let (leader, remark) = (try department.field(named: "leader_name"), try department.field(named: "remark"))
        try stage.world.backup("ministry")
        let row = try stage.world.node("A1").add(department, [department.key.last!: .text("D-1"), leader: .text("第一任"), remark: .text("新设")], author: "A1")
        for who in ["A1", "A2"] { try await stage.world.sync(who) }
        _ = try await stage.world.session("province").run(pull: false)
        try stage.world.node("A1").change(department, row, [leader: .text("第二任")], author: "A1")
        for who in ["A1", "A2"] { try await stage.world.sync(who) }
        _ = try await stage.world.session("province").run(pull: false)
        try stage.world.node("A1").remove(department, row, author: "A1")
        try await stage.world.sync("A1")
        try await stage.world.sync("province")

        try stage.world.restore("ministry", .home)
        try stage.world.node("A2").change(department, row, [remark: .text("还在用")], author: "A2")
        try await stage.world.sync("A2")
        let desk = OperatorDesk(try stage.world.hub("province"))
        let open = try #require(desk.cases().first)
        let kept = try #require(open.candidates.firstIndex { $0.values["life"] == "alive" })
        _ = try desk.take(open.number, candidate: kept + 1, Verdict(who: "操作员", reason: "核实"))
        try await stage.world.settle()
        let present = try #require(try stage.world.hub("ministry").values(department, row))
        #expect(present[department.key.last!] == .text("D-1") && present[remark] == .text("还在用"))
        #expect(present[leader] == .text("第二任"), "the last word that was sent before the delete")
        // Whether the delete had seen the edit nobody can tell the ministry: it asks again.
        let above = OperatorDesk(try stage.world.hub("ministry"))
        for open in try above.cases() {
            let alive = try #require(open.candidates.firstIndex { $0.values["life"] == "alive" })
            _ = try above.take(open.number, candidate: alive + 1, Verdict(who: "操作员", reason: "核实"))
        }
        try await stage.settleAndAgree()
        for who in ["A1", "A2"] { #expect(try stage.world.node(who).values(department, row)?[leader] == .text("第二任")) }
    }
}
