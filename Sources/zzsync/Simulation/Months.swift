// Rules that two can break together: each moves one month of a row and keeps the rule as he sees it; whoever of their hubs has both
// first must ask somebody. Nobody erred alone, so nobody mends it unasked: what was not asked about stays held, and is found at rest.

import Foundation
import GRDB
import Hub
import Node
import Shared

extension Country {
    /// The months that one rule of the form compares.
    func months(_ form: Form) -> [Int] {
        let compared = form.rules.lazy.filter { $0.level == .error }.map { rule in rule.fields.compactMap { form.fieldIndex(id: $0) } }
        return compared.first { fields in fields.count == 2 && fields.allSatisfy { form.fields[$0].type == .yearMonth } } ?? []
    }

    /// A month that no other write has, as near to the other one as the rule allows: whoever moves the other unseen breaks it with this one.
    func month(_ field: Int, of form: Form, in row: [Value]) -> Value {
        let pair = months(form).sorted().map { Self.months(since: row[$0]) }
        var month: Int
        if field == months(form).min() {
            month = (pair[1] ?? (pair[0] ?? Self.firstMonth) + dice.roll(6...60)) - dice.roll(0...2)
            while !usedMonths.insert(month).inserted { month -= 1 }
        } else {
            month = (pair[0] ?? Self.firstMonth) + dice.roll(0...2)
            while !usedMonths.insert(month).inserted { month += 1 }
        }
        return .text("\(month / 12)-\(month % 12 < 9 ? "0" : "")\(month % 12 + 1)")
    }

    private static let firstMonth = 2000 * 12
    private static func months(since value: Value) -> Int? {
        let parts = value.shown.split(separator: "-").compactMap { Int($0) }
        return parts.count == 2 ? parts[0] * 12 + parts[1] - 1 : nil
    }

    /// Somebody at a school moves one of them, if the rule allows it.
    ///
    /// - Returns: whether there was a row to move it in.
    func moveMonth(at site: Site) throws -> Bool {
        let node = site.node!
        guard let form = dice.pick(site.catalogue.forms.filter { !months($0).isEmpty }), let field = dice.pick(months(form)) else { return false }
        let rows = try node.database.read { try Int64.fetchAll($0, sql: "SELECT id FROM \(form.table) ORDER BY id LIMIT 3") }
        guard let row = (dice.chance(0.5) ? rows.first : dice.pick(rows)).map({ RowID($0) }), let before = try node.values(form, row),
            !form.key.contains(where: { before[$0].isNull }), try node.get(form: form, key: form.key.map { before[$0].shown })?.id == row
        else { return false }
        let clerk = nextAction(site)
        var values = Dictionary(uniqueKeysWithValues: form.key.map { ($0, before[$0]) })
        values[field] = month(field, of: form, in: before)
        do throws(Failure) {
            _ = try node.put(form: form, values: values, author: clerk.author)
        } catch {
            guard error.kind == .refused else { throw error }
            return true
        }
        record(site, form, row, before: before, after: try node.values(form, row), by: clerk)
        tallies.count(.monthMoved)
        note("\(clerk.author) moves \(form.fields[field].id) of \(form.table) \(row)")
        return true
    }

    // MARK: who is asked

    /// Two broke the rule together, unseen. Where a hub was put back its questions may have gone with its disk.
    func isJoint(_ finding: HubFinding, at hub: Site) throws -> Bool {
        guard let form = catalogue[finding.form], let rule = form.rules.first(where: { $0.id == finding.rule }), let id = Int64(finding.row),
            let school = Int(finding.school.suffix(6)), !hubs.contains(where: \.isPutBack), rule.fields.count == 2
        else { return false }
        let key = RowKey(scope: scopes[school - 1].rawValue, form: form.number, id: id)
        let read = rule.fields.compactMap { name in form.groups.firstIndex { group in group.fields.contains { form.fields[$0].id == name } } }
        return try shown(key, at: hub.hub!.home).map { words in oracle.isJoint(key, words.filter { read.contains($0.key) }) } ?? false
    }

    func inspectJointRows(of hub: Site) throws {
        for finding in try hub.hub!.home.findings() where finding.level == "error" {
            let isJoint = try isJoint(finding, at: hub)
            expect(!isJoint, "\(hub.name): nobody was asked about \(finding.rule), which two broke together in row \(finding.row) of \(finding.form)")
        }
    }
}

extension Oracle {
    /// Different people typed what stands in these cells of a row, none having had another's before his eyes, and no operator has looked.
    func isJoint(_ row: RowKey, _ words: [Int: String]) -> Bool {
        let sides = words.compactMap { group, word in cells[CellKey(row: row, group: group)]?[word].map { (group: group, word: word, entry: $0) } }
        guard sides.count > 1, sides.count == words.count, sides.allSatisfy({ $0.entry.isEntry && $0.entry.rulings.isEmpty }) else { return false }
        return !sides.contains { one in
            sides.contains { other in
                other.group != one.group
                    && one.entry.beside[other.group].map { known(CellKey(row: row, group: other.group), $0).contains(other.word) } == true
            }
        }
    }
}
