// A hub and a node put back from a copy of their homes: real processes over real HTTP, killed at each durable step of the new
// incarnation or epoch. Whatever dies where, the next sync goes on, and everybody has everything in the end.

import Foundation
import Shared
import Testing

@Suite(.serialized, .timeLimit(.minutes(10))) struct RestoreKillTests {
    /// The first point alone, or all in a long run.
    private static func some(_ points: [String]) -> [String] { KillCounts.isLong ? points : Array(points.prefix(1)) }

    /// A province and two nodes of one school, with a row that all have.
    struct Stage {
        let world: World
        let hub: Replica
        let nodes: [Replica]
        var server: HubProcess

        init() async throws {
            world = try World()
            hub = try await world.hub("province")
            server = try await HubProcess(hub)
            nodes = [try await world.node("a1"), try await world.node("a2")]
            for (index, node) in nodes.enumerated() {
                try await node("join", "--invite", hub.invite("invite\(index)")).expect(0)
            }
            try await write(0, "100001")
            try await settle()
        }

        func write(_ node: Int, _ number: String) async throws { try await nodes[node].putMajor(number, name: "专业\(number)") }

        func sync(_ node: Int) async throws { try await nodes[node]("sync", "--wait", "10").expect(0) }

        func settle() async throws {
            for node in [0, 1, 0, 1] { try await sync(node) }
        }

        /// A copy of a home at rest.
        func copy(_ replica: Replica) throws { try replace(replica.home + ".copy", by: replica.home) }

        func putBack(_ replica: Replica) throws { try replace(replica.home, by: replica.home + ".copy") }

        private func replace(_ old: String, by new: String) throws {
            try? FileManager.default.removeItem(atPath: old)
            try FileManager.default.copyItem(atPath: new, toPath: old)
        }

        mutating func serve(dyingAt point: String? = nil) async throws {
            server = try await HubProcess(
                hub, listen: "127.0.0.1:\(server.port)", environment: point.map { ["ZZSYNC_KILL_AT": $0] } ?? [:])
        }

        /// Everybody has these rows, the digests are equal, nobody is asked anything.
        func expectAgreement(_ numbers: [String]) async throws {
            try await settle()
            let digest = try await hub.digest()
            for node in nodes { #expect(try await node.digest() == digest) }
            let there = try await hub.sql("SELECT major_number FROM general_major WHERE _life = 1 ORDER BY 1").split(separator: "\n")
            #expect(there.map(String.init) == numbers)
            #expect(try await hub.count("zz_case", "closed_at IS NULL") == 0)
        }
    }

    /// What the hub lost: a row that both nodes have. While it was lost the second node wrote on.
    private func hubPutBack() async throws -> Stage {
        var stage = try await Stage()
        await stage.server.stop()
        try stage.copy(stage.hub)
        try await stage.serve()
        try await stage.write(0, "100002")
        try await stage.settle()
        await stage.server.stop()
        try stage.putBack(stage.hub)
        try await stage.write(1, "100003")
        return stage
    }

    @Test(arguments: some(["return.commit", "epoch.commit"])) func aHubPutBackDies(point: String) async throws {
        var stage = try await hubPutBack()
        try await stage.serve(dyingAt: point)
        try await stage.nodes[1]("sync", "--wait", "10").expect(4)
        let ended = await stage.server.process.ended()
        #expect(ended.wasKilled, "\(point): \(ended.words)")
        try await stage.serve()
        try await stage.sync(1)
        try await stage.expectAgreement(["100001", "100002", "100003"])
        #expect(try await stage.hub.sql("SELECT value FROM zz_meta WHERE key = 'epoch'") == "2", "once is enough")
    }

    @Test(arguments: some(["agree.commit", "return.aside"])) func aChildOfAHubPutBackDies(point: String) async throws {
        var stage = try await hubPutBack()
        try await stage.serve()
        let ended = try await stage.nodes[1].run(["sync", "--wait", "10"], environment: ["ZZSYNC_KILL_AT": point])
        #expect(ended.wasKilled, "\(point): \(ended.words)")
        try await stage.sync(1)
        try await stage.expectAgreement(["100001", "100002", "100003"])
    }

    @Test(arguments: some(["incarnation.commit", "push.sent", "pull.page"])) func aNodePutBackDies(point: String) async throws {
        let stage = try await Stage()
        try stage.copy(stage.nodes[0])
        try await stage.write(0, "100002")
        try await stage.settle()
        let site = try stage.nodes[0].keys().site
        try stage.putBack(stage.nodes[0])
        try await stage.write(0, "100003")
        let ended = try await stage.nodes[0].run(["sync", "--wait", "10"], environment: ["ZZSYNC_KILL_AT": point])
        #expect(ended.wasKilled, "\(point): \(ended.words)")
        try await stage.sync(0)
        try await stage.expectAgreement(["100001", "100002", "100003"])
        #expect(try stage.nodes[0].keys().site != site, "a new incarnation")
        #expect(try await stage.hub.count("zz_family", "parent IS NOT NULL") == 1, "one, though it died on the way")
    }
}
