// -o FILE of every verb that writes a file for people: a workbook, a template, an invite.

import ArgumentParser
import Foundation
import Shared

/// A file that stands there already is never replaced: it may hold a week's decisions, or be a hub's own database. Whoever wants a new
/// one names another, or moves the old one away himself; no flag makes it easier.
struct OutputOptions: ParsableArguments {
    @Option(name: [.customShort("o"), .customLong("output")], help: "The file to write; one that exists is not replaced.")
    var output: String

    /// To be asked before anything else is done: an invite that cannot be written must not be given out.
    ///
    /// - Throws: `Failure(.refused)` when something stands there, be it a link that leads nowhere.
    func path() throws(Failure) -> String {
        guard (try? FileManager.default.attributesOfItem(atPath: output)) == nil else {
            throw Failure(.refused, "\(output) exists already.", next: "Name another file with -o, or move that one away; nothing was written.")
        }
        return output
    }
}
