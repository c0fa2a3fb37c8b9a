// Sync again and again, with jitter, and later after failures: schools of a province must not call in step.

import Foundation
import Shared

struct PeriodicSync {
    let interval: Double

    /// Runs until the task is cancelled or the process is told to stop.
    func run(_ sync: (Double) async throws(Failure) -> SyncReport) async {
        var generator = SystemRandomNumberGenerator()
        var backoff = Backoff()
        while !Task.isCancelled {
            var pause = interval * Double.random(in: 0.9...1.1, using: &generator)
            do throws(Failure) {
                let report = try await sync(2)
                backoff.reset()
                if report.pushedRows + report.pulledRows > 0 {
                    Terminal.line("\(Date().formatted(.iso8601)) sent \(report.pushedRows) rows, received \(report.pulledRows)")
                }
            } catch {
                Terminal.error("\(Date().formatted(.iso8601)) \(error)")
                pause = min(pause, Double(backoff.next(using: &generator)) / 1_000)
            }
            try? await Task.sleep(for: .seconds(pause))
        }
    }
}
