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
