// hub policies: which group is decided how, and which file says so; and how a new hub gets its policy files.

import ArgumentParser
import Foundation
import Hub
import Shared

struct HubPolicies: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policies", abstract: "The policies that this hub's files (HOME/policies/*.toml) set over the catalogue's.")
    @OptionGroup var options: Options
    @Option(help: "Only of this form.") var form: String?

    private struct Entry: Encodable {
        let form, policy, place, reason: String
        let fields: [String]
        let owner, school, until: String?
        let inForce: Bool
        /// Field → the place of what counts for it instead, by naming more or by standing later.
        let overruled: [String: String]

        enum CodingKeys: String, CodingKey {
            case form, policy, place, reason, fields, owner, school, until, overruled, inForce = "in_force"
        }
    }

    private struct Answer: Encodable {
        let policies: [Entry]
        let notRead: [String]
        enum CodingKeys: String, CodingKey { case policies, notRead = "not_read" }
    }

    func run() throws {
        let home = try options.openHub()
        let only = try form.map { try home.catalogue.form(named: $0).number }
        let now = Int64(Date().timeIntervalSince1970)
        let entries = home.policyBook.rules.filter { only == nil || $0.form == only }.map { rule in
            let form = home.catalogue[number: rule.form]!
            let groups = form.groups.filter { rule.groups?.contains($0.number) == true }
            return Entry(
                form: form.id, policy: rule.policy.rawValue, place: rule.place, reason: rule.reason,
                fields: groups.flatMap { $0.fields.map { form.fields[$0].title } }, owner: rule.owner?.description, school: rule.school,
                until: rule.until, inForce: rule.isInForce(at: now), overruled: Self.overruled(rule, home, form, now: now))
        }
        if options.json { return Terminal.json(Answer(policies: entries, notRead: home.policyBook.unread)) }
        for entry in entries {
            let scope = [
                entry.fields.isEmpty ? "all fields" : entry.fields.joined(separator: "、"), entry.school.map { "school \($0)" },
                entry.until.map { "until \($0)\(entry.inForce ? "" : " (over)")" },
                entry.overruled.isEmpty ? nil
                    : "but " + entry.overruled.sorted { $0.key < $1.key }.map { "\($0.key): [\($0.value)] counts" }.joined(separator: ", "),
            ].compactMap { $0 }.joined(separator: ", ")
            Terminal.line("\(entry.policy)\(entry.owner.map { " \($0)" } ?? "")\t\(entry.form)\t\(scope)\t\(entry.reason)\t[\(entry.place)]")
        }
        Terminal.line("\(entries.count) policies; everything else is decided as the catalogue says.")
        if let warning = home.policyBook.warning { Terminal.line(warning) }
    }

    private static func overruled(_ rule: PolicyRule, _ home: HubHome, _ form: Form, now: Int64) -> [String: String] {
        guard rule.isInForce(at: now) else { return [:] }
        let counts = home.policyBook.overrides(home.catalogue, school: rule.school, now: now)[form.number] ?? [:]
        var found: [String: String] = [:]
        for group in form.groups where rule.covers(group, of: form) {
            guard let place = counts[group.number]?.place, place != rule.place else { continue }
            for field in group.fields { found[form.fields[field].title] = place }
        }
        return found
    }
}

enum PolicyFolder {
    /// Where `make install` puts the policies beside this program.
    private static var installed: String? {
        guard let program = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") else { return nil }
        let folder = URL(fileURLWithPath: program).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("share/zzsync/conflicts/policies").path
        return FileManager.default.fileExists(atPath: folder) ? folder : nil
    }

    /// Copies policy files into a home that has none yet; they are the hub's own from then on.
    ///
    /// - Parameter source: a folder; nil takes the installed one, if there is one.
    /// - Returns: how many files came.
    static func fill(_ home: String, from source: String?, catalogue: Catalogue) throws(Failure) -> Int {
        let target = HubHome.policyFolder(home)
        guard let folder = source ?? installed, !FileManager.default.fileExists(atPath: target) else { return 0 }
        guard FileManager.default.fileExists(atPath: folder) else {
            throw Failure(.usage, "There is no folder \(folder).", next: "Name a folder of policy files, for example conflicts/policies.")
        }
        let book = try PolicyFile.load(folder: folder, catalogue: catalogue)       // a wrong file is refused before anything is made
        if let warning = book.warning { Terminal.error("zzsync: \(warning)") }
        do {
            try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: true)
            let names = try PolicyFile.names(folder: folder).read
            for name in names { try FileManager.default.copyItem(atPath: "\(folder)/\(name)", toPath: "\(target)/\(name)") }
            return names.count
        } catch {
            throw Failure(.damaged, "The policy files cannot be copied to \(target) (\(error.localizedDescription)).", next: "Check the path and its permissions.")
        }
    }
}
