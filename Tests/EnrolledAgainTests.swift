// Sites that joined after the copy from which their hub was put back: they come back by the hub's own statement, with all they hold.

import Crypto
import Foundation
import GRDB
import Testing

@testable import Hub
@testable import Node
@testable import Shared
@testable import zzsync

@Suite(.serialized) struct EnrolledAgainTests {
    typealias Stage = RestoreTests.Stage

    private func remark(_ hub: HubHome, _ site: SiteID) throws -> SiteStatus {
        try #require(try hub.sites().first { $0.site == site.description })
    }

    /// What was written over values that the hub has lost may be asked about again; it stands, or is a candidate.
    private func isKept(_ text: String, _ field: String, at hub: String, _ stage: Stage) throws -> Bool {
        let candidates = try OperatorDesk(stage.world.hub(hub)).cases().flatMap(\.candidates).compactMap { $0.values[field] }
        return try stage.value(hub, field) == text || candidates.contains(text)
    }

    // MARK: nodes

    /// Whether the copy knows the school (by another node) or nothing of it.
    @Test(arguments: zip([HomeCopy.Part.database, .home, .home], [false, false, true]))
    func aNodeThatJoinedAfterTheCopy(part: HomeCopy.Part, knowsSchool: Bool) async throws {
        let stage = try await Stage(knowsSchool ? ["A1"] : ["A1", "A2"], copied: knowsSchool ? [] : ["province"])
        if knowsSchool {
            try stage.world.backup("province")
            try await stage.world.join("A2")
        }
        try await stage.world.settle()
        try stage.write("A2", "home_address", "备份以后")
        try await stage.world.sync("A2")
        try await stage.world.sync("province")
        let site = try stage.site("A2")

        try stage.world.restore("province", part)
        #expect(try stage.world.hub("province").sites().allSatisfy { $0.site != site.description })
        try stage.write("A2", "guardian_name", "还原以后")
        try await stage.world.sync("A2")
        #expect(try isKept("备份以后", "home_address", at: "province", stage))
        #expect(try isKept("还原以后", "guardian_name", at: "province", stage))
        #expect(try stage.site("A2") == site, "it has lost nothing, and goes on as it was")
        #expect(try stage.world.hub("province").epoch == 2)
        let listed = try remark(stage.world.hub("province"), site)
        #expect(listed.returnedAt != nil && listed.remark == nil && listed.school == "3641990001")
        #expect(try stage.world.hub("province").status().returnedSites >= 1)
        if knowsSchool { #expect(try stage.cases().isEmpty) }
        try await stage.settleAndAgree()
        #expect(try stage.value("ministry", "home_address") == "备份以后")
    }

    /// It never spoke to the hub before that was put back.
    @Test func aNodeThatHadJustJoined() async throws {
        let stage = try await Stage(["A1"])
        try stage.world.backup("province")
        try await stage.world.join("B1")
        try stage.world.restore("province", .home)
        _ = try stage.world.node("B1").addExamples(author: "B1", school: "B")
        try await stage.world.settle()
        #expect(Set(try stage.world.digests(school: "B").values).count == 1)
        #expect(try stage.world.hub("province").epoch == 2)
    }

    /// Since the copy it has joined and, put back itself, gone on as a new site.
    @Test(arguments: zip([HomeCopy.Part.database, .home], [HomeCopy.Part.home, .database]))
    func aNodeOfWhichTheHubKnowsNoIncarnation(part: HomeCopy.Part, ofNode: HomeCopy.Part) async throws {
        let stage = try await Stage(["A1", "A2"], copied: ["province"])
        try stage.world.backup("A1")
        try stage.write("A1", "home_address", "前世写的")
        try await stage.world.sync("A1")
        try await stage.world.sync("A2")
        let first = try stage.site("A1")
        try stage.world.restore("A1", ofNode)
        try stage.write("A1", "guardian_name", "今生写的")
        try await stage.world.sync("A1")
        let second = try stage.site("A1")
        #expect(first != second)

        try stage.world.restore("province", part)
        try stage.write("A1", "postal_code", "450001")
        try await stage.world.settle()
        #expect(try remark(stage.world.hub("province"), first).returnedAt != nil)
        for (field, text) in [("home_address", "前世写的"), ("guardian_name", "今生写的"), ("postal_code", "450001")] {
            #expect(try isKept(text, field, at: "province", stage), "\(field)")
        }
        try await stage.settleAndAgree()
    }

    /// Both are put back at once: the node learns of its own fate from its anchor, and the hub knows nothing of it.
    @Test(arguments: [HomeCopy.Part.database, .home]) func aNodePutBackTogetherWithAHubOfBefore(part: HomeCopy.Part) async throws {
        let stage = try await Stage(["A1", "A2"], copied: ["province"])
        try stage.world.backup("A1")
        try stage.write("A1", "home_address", "前世写的")
        try await stage.world.sync("A1")
        try await stage.world.sync("A2")
        try stage.world.restore("A1", .database)
        try stage.world.restore("province", part)
        try stage.write("A1", "guardian_name", "今生写的")
        try await stage.world.settle()
        #expect(try isKept("前世写的", "home_address", at: "province", stage), "A2 had it")
        #expect(try isKept("今生写的", "guardian_name", at: "province", stage))
        try await stage.settleAndAgree()
    }

    // MARK: hubs

    @Test(arguments: zip([HomeCopy.Part.database, .home, .home], [true, true, false]))
    func aHubThatJoinedAfterTheCopy(part: HomeCopy.Part, wasPutBack: Bool) async throws {
        let stage = try await Stage(["A1", "A2", "B1"], copied: ["ministry"])
        if wasPutBack {
            // It is another site above since.
            try stage.world.backup("province")
            try stage.write("A1", "household_address", "第一世")
            try await stage.world.settle()
            try stage.world.restore("province", .home)
            try await stage.world.settle()
        }
        try stage.write("A1", "home_address", "备份以后")
        try await stage.world.settle()
        try stage.world.restore("ministry", part)
        try stage.write("A2", "guardian_name", "还原以后")
        try await stage.world.settle()
        #expect(try stage.world.hub("ministry").sites().contains { $0.returnedAt != nil && $0.school == nil })
        for (field, text) in [("home_address", "备份以后"), ("guardian_name", "还原以后")] {
            #expect(try isKept(text, field, at: "ministry", stage) || isKept(text, field, at: "province", stage), "\(field)")
        }
        try await stage.settleAndAgree()
    }

    // MARK: what was given away meanwhile

    /// The operator, who found the school missing, has invited it anew: the school keeps its scope, and that invite is withdrawn.
    @Test func aSchoolThatWasInvitedAnew() async throws {
        let stage = try await Stage(["A1"], copied: ["province"])
        let scope = try stage.world.hub("province").scope(school: "3641990001")
        try stage.world.restore("province", .home)
        let letter = try stage.world.invite("A2")
        let other = try stage.world.hub("province").scope(school: "3641990001")
        #expect(scope != other)
        try await stage.world.settle()
        let province = try stage.world.hub("province")
        #expect(try remark(province, stage.site("A1")).remark?.contains("nobody uses: its invites are withdrawn") == true)
        #expect(try province.scope(school: "3641990001") == scope, "the empty one is not meant")
        let refused = await #expect(throws: Failure.self) { try await stage.world.join("A2", with: letter) }
        #expect(refused?.what.contains("this invite is unknown here") == true)
        try await stage.world.join("A3")
        try await stage.settleAndAgree()
        #expect(try stage.world.node("A3").values(stage.form, stage.row) != nil, "the same school")
    }

    /// Somebody has joined with it: both stay, nothing is mixed, and the operator is told and asked to name the scope.
    @Test func aSchoolThatWasInvitedAnewAndJoined() async throws {
        let stage = try await Stage(["A1"], copied: ["province"])
        let scope = try stage.world.hub("province").scope(school: "3641990001")
        try stage.world.restore("province", .home)
        try await stage.world.join("A2")
        let other = try stage.world.hub("province").scope(school: "3641990001")
        try await stage.world.sync("A2")
        try await stage.world.settle()
        let province = try stage.world.hub("province")
        #expect(try remark(province, stage.site("A1")).remark?.contains("scope \(other) meanwhile, which is in use") == true)
        let ambiguous = #expect(throws: Failure.self) { try province.scope(school: "3641990001") }
        #expect(ambiguous?.kind == .refused)
        #expect(ambiguous?.what.contains(scope.description) == true && ambiguous?.what.contains(other.description) == true)
        for one in [scope, other] { #expect(try province.scope(school: one.description) == one) }
        #expect(try province.values(stage.form, stage.row) != nil)
        #expect(throws: Failure.self) { try stage.world.invite("A3") }
    }

    /// The letter of before the copy is unused in it; whoever finds it cannot join with it a second time.
    @Test func anInviteOfBeforeTheCopyStillWorksOnce() async throws {
        let stage = try await Stage(["A1"])
        let letters = [try stage.world.invite("A2"), try stage.world.invite("A3")]
        try stage.world.backup("province")
        try await stage.world.join("A2", with: letters[0])
        try await stage.world.join("A3", with: letters[1])
        try stage.world.restore("province", .home)
        try await stage.world.sync("A2")
        #expect(try remark(stage.world.hub("province"), stage.site("A2")).remark == nil)
        let refused = await #expect(throws: Failure.self) { try await stage.world.join("A4", with: letters[0]) }
        #expect(refused?.what.contains("was used already") == true)
        // The other letter is used before its first user comes back: he comes in, and the operator is told.
        try await stage.world.join("A5", with: letters[1])
        try await stage.world.sync("A3")
        let remark = try remark(stage.world.hub("province"), stage.site("A3")).remark
        #expect(remark == "its invite was used by site \(try stage.site("A5")) meanwhile")
        try await stage.settleAndAgree()
    }

    // MARK: who may not

    @Test func onlyTheSiteThatWasEnrolledComesBack() async throws {
        let stage = try await Stage(["A1"], copied: ["province"])
        let (node, province) = (try stage.world.node("A1"), stage.world.hubs["province"]!)
        let shown = try #require(SignedEnrolment.load(node.directory))
        let keys = try stage.world.session("A1").replica.keys
        func show(_ statement: SignedEnrolment, by keys: SiteKeys) async -> String? {
            let client = HubClient(
                DirectTransport(endpoint: stage.world.hubs["province"]!.endpoint), keys: keys, hub: province.home.keys.publicKeys, label: "province")
            do {
                try await client.enrolAgain(statement)
                return nil
            } catch {
                return error.what
            }
        }
        // Where the hub knows it, showing it again changes nothing.
        #expect(await show(shown, by: keys) == nil)
        #expect(try remark(province.home, keys.site).returnedAt == nil)
        #expect(province.home.epoch == 1)

        try stage.world.restore("province", .home)
        let hub = try stage.world.hub("province")
        let count = { try hub.sites().count }
        #expect(await show(shown, by: SiteKeys())?.contains("is not shown by that site") == true, "stolen")
        var forged = try #require(shown.claimed)
        let thief = SiteKeys()
        (forged.signingKey, forged.agreementKey) = (thief.publicKeys.signingBase64, thief.publicKeys.agreementBase64)
        #expect(await show(forged.signed(by: thief), by: thief)?.contains("no statement of enrolment that this hub has signed") == true)
        let altered = SignedEnrolment(statement: forged.signed(by: thief).statement, signature: shown.signature)
        #expect(await show(altered, by: thief)?.contains("no statement of enrolment that this hub has signed") == true)
        #expect(try count() == 0 && hub.epoch == 1)

        #expect(await show(shown, by: keys) == nil)
        #expect(await show(shown, by: keys) == nil)
        #expect(try count() == 1 && hub.epoch == 2, "once")
        // From here on the hub knows of it what it knows of all.
        try await hub.database.write { try $0.execute(sql: "UPDATE zz_site SET revoked_at = 1") }
        #expect(await show(shown, by: keys)?.contains("was revoked") == true)
        let refused = await #expect(throws: Failure.self) { try await stage.world.sync("A1") }
        #expect(refused?.what.contains("was revoked") == true)
    }
}

/// By the programs, as people meet it.
@Suite(.timeLimit(.minutes(10))) struct EnrolledAgainProcessTests {
    @Test func aSchoolComesBackByItselfOrByAnInviteOfItsScope() async throws {
        let world = try World()
        let hub = try await world.hub("h")
        let first = try await HubProcess(hub)
        await first.stop()
        try HomeCopy.take(hub.home, to: world.path("copy"))
        var server = try await HubProcess(hub, listen: "127.0.0.1:\(first.port)")
        let (a, b) = (try await world.node("a"), try await world.node("b", school: World.otherSchool))
        for (node, school) in [(a, World.school), (b, World.otherSchool)] {
            try await node("join", "--invite", hub.invite("i\(school)", school: school)).expect(0)
            try await node.putMajor("ZY01")
            try await node("sync", "--wait", "20").expect(0)
        }
        await server.stop()
        try HomeCopy.putBack(world.path("copy"), to: hub.home, .home)
        server = try await HubProcess(hub, listen: "127.0.0.1:\(first.port)")
        try await a.putMajor("ZY02")
        try await a("sync", "--wait", "20").expect(0)
        #expect(try await a.digest() == hub.digest())
        try await hub("sites").expect(0, "school \(World.school)", "enrolled again by its own statement", "1 sites.")
        try await hub("status").expect(0, "1 of them enrolled again")

        // A home without the statement, as an earlier program made it.
        try FileManager.default.removeItem(atPath: SignedEnrolment.path(b.home))
        try await b.putMajor("ZY03")
        try await b("sync").expect(5, "no readable enrolment.json", "Nothing is lost", "for the scope in `zzsync status --json`", "move parent.json away")
        let status = try await b("status", "--json").expect(0).json()
        let scope = try #require(status["scope"] as? String)
        let letter = try await hub.invite("again", school: World.otherSchool, "--scope", scope)
        try FileManager.default.moveItem(atPath: ParentLink.path(b.home), toPath: world.path("parent.old"))
        try await b("join", "--invite", letter).expect(0)
        try await b("sync", "--wait", "20").expect(0)
        #expect(try await b.digest() == hub.digest(school: World.otherSchool))
        try await hub("invite", "--school", World.school, "--name", "校", "--scope", scope, "-o", world.path("x")).expect(3, "another school's")
        try await hub("invite", "--school", World.school, "--name", "校", "--scope", "12", "-o", world.path("x")).expect(2, "is no scope")
        _ = server
    }
}
