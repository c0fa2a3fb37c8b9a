// Many schools at once: the hub's threads are as few as the machine's cores, and none of them may wait for what another holds.

import Foundation
import Shared
import Testing

@testable import Hub
@testable import Node
@testable import zzsync

@Suite struct CrowdTests {
    @Test func twelveSchoolsSyncAtOnce() async throws {
        let names = "ABCDEFGHIJKL".map { "\($0)1" }
        let world = try await zzsync.World(catalogue: try CatalogueLoader.embedded(), nodes: names)
        for name in names { _ = try world.node(name).addExamples(author: "初始数据", school: String(name.prefix(1))) }
        let sessions = try names.map { try world.session($0) }
        // Three rounds: the second and third hello name the pages that the first has made.
        for round in 1...3 {
            let pulled = try await withThrowingTaskGroup(of: SyncReport.self) { group in
                for session in sessions { group.addTask { try await session.run() } }
                return try await group.reduce(into: 0) { sum, report in sum += report.refused.isEmpty ? 1 : 0 }
            }
            #expect(pulled == names.count, "round \(round)")
        }
    }
}
