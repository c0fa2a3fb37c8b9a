import Foundation
import GRDB
import Testing

@testable import Hub
@testable import Node
@testable import Shared
@testable import zzsync

/// Numbers and words that a child tells, by a damaged disk or on purpose: none of them may harm another school.
@Suite struct ToldNumberTests {
    private static let form = Embedded.catalogue["general.class"]!

    private func world() async throws -> (world: zzsync.World, scope: ScopeID, site: SiteID) {
        let world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: ["A1", "B1"])
        _ = try world.node("A1").addExamples(author: "初始数据", school: "A")
        try await world.settle()
        let node = try world.node("A1")
        let scope = try await node.database.read { try Int64.fetchOne($0, sql: "SELECT scope FROM zz_link")! }
        return (world, ScopeID(key: scope), try world.session("A1").replica.keys.site)
    }

    /// An epoch that no restore explains: the child is told, the hub goes on, other schools do not notice.
    @Test(arguments: [1_002, 8_388_607, Int.max]) func anEpochFromNowhereIsRefused(epoch: Int) async throws {
        let (world, _, _) = try await world()
        let node = try world.node("A1"), province = try world.hub("province")
        try await node.database.write { try $0.execute(sql: "UPDATE zz_link SET epoch = ?", arguments: [epoch]) }
        _ = try node.add(Self.form, [Self.form.field(named: "班号"): .text("20249901")], author: "A1")
        let report = try await world.session("A1").run()
        #expect(report.refused.first?.contains("claims to know epoch \(epoch) of this hub, which is in epoch 1") == true, "\(report.refused)")
        #expect(province.epoch == 1)
        _ = try world.node("B1").addExamples(author: "初始数据", school: "B")
        try await world.sync("B1")
        #expect(try province.digests(school: "3641990002")["general.class"]?.rows == 1)
        // Nothing is lost: mended, it goes up.
        try await node.database.write { try $0.execute(sql: "UPDATE zz_link SET epoch = 1") }
        try await world.settle()
        #expect(try world.rows("province", Self.form) == world.rows("A1", Self.form) + 1)
    }

    @Test(arguments: [(Int64.max, 0), (-1, 0), (Int64.min, 0), (0, -1)] as [(Int64, Int64)]) func whatNobodyCanHaveSealedIsMalformed(sealed: Int64, base: Int64) async throws {
        let (world, scope, id) = try await world()
        let service = try #require(world.hubs["province"]).endpoint.service
        let site = try #require(try await service.site(id))
        let request = AgreedRequest(scope: scope.description, epoch: service.home.epoch, base: base, sealed: sealed)
        await #expect { try await service.agree(request, from: site) } throws: { ($0 as? WireError)?.code == .malformed }
    }

    /// A node that says that it typed at a hub does not speak as that hub.
    @Test func aNodeCannotSignAsAHub() async throws {
        let (world, scope, id) = try await world()
        let ministry = try world.hub("ministry").keys.site
        let node = try world.node("A1"), replica = try world.session("A1").replica
        let row = RowID(77)
        let now = world.clock.now
        let stamp = Stamp(origin: ministry, author: "部", time: now)
        try await node.database.write { db in
            var sealer = try Sealer(
                db, scope: scope, site: id, key: replica.keys.signing, catalogue: Embedded.catalogue, now: now)
            let number = try Self.form.field(named: "班号")
            try sealer.add(form: Self.form, row: row, life: .alive, mask: Self.form.allFields, stamp: stamp) { field, column in
                if field == number { column.append(.text("20249902")) } else { column.appendNull() }
            }
            try sealer.finish()
        }
        try await world.push("A1")
        let origins = try await world.hub("province").database.read { db in
            try Int64.fetchAll(db, sql: "SELECT origin FROM zz_stamp JOIN general_class ON _by = stamp WHERE id = 77").map { SiteID(key: $0) }
        }
        #expect(origins == [id])
    }

    /// A page that comes back may be larger than other calls.
    @Test func aPageThatComesBackHasRoom() {
        let target = WirePath.returned(ScopeID(1), survived: Position(0))
        #expect(HubEndpoint.bytesMax(of: target) >= SegmentHeader.byteCount + Limits.pageBodyBytesMax)
        #expect(HubEndpoint.bytesMax(of: WirePath.hello) == 4 << 20)
    }

    @Test func wrongNumbersOfWorkbooksAndFilters() throws {
        for raw in ["2024-01-01T9223372036854775807:00:00", "99999-01-01", "2024-13-01", "2024-01-01T61:00:00"] {
            #expect(WorkbookDate(iso: raw) == nil, "\(raw)")
        }
        #expect(WorkbookDate(iso: "2024-09-01T08:30:00")?.iso == "2024-09-01")
        #expect(Seconds(argument: "inf") == nil && Seconds(argument: "nan") == nil && Seconds(argument: "-1") == nil && Seconds(argument: "1e300") == nil)
        #expect(Seconds(argument: "2.5")?.count == 2.5)
    }
}
