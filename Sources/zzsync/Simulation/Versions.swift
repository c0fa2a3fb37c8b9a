// Two versions of the catalogue in one country: the newer one has a field and a form more, and cuts two forms' groups differently.
// Sites of the older one keep and hand on what they do not know; one by one they are stopped and go on with the newer. The oracle counts
// cells as finely as they are cut anywhere: to an older site a cell that it does not know is one that its clerks cannot write, and carry
// along; where fields are one group, each of them is a cell that is decided with the others.

import Foundation
import GRDB
import Hub
import Node
import Shared

extension Country {
    static let switching = "another catalogue"

    /// What is joined in one version stands apart in the other, and the other way.
    private static let joinedBefore = VersionEdits.JoinedFields(form: "integration.enterprise.basic", name: "trade", fields: ["legal_person", "business_scope"])
    private static let joinedSince = VersionEdits.JoinedFields(form: "general.school.campus", name: "place", fields: ["campus_name", "address"])

    static func older(_ installed: Catalogue) throws(Failure) -> Catalogue {
        try VersionEdits(name: "older", sites: nil, fields: nil, groups: [joinedBefore], forms: nil).compile(from: installed)
    }

    static func newer(_ finest: Catalogue) throws(Failure) -> Catalogue {
        try VersionEdits(name: "newer", sites: nil, fields: nil, groups: [joinedSince], forms: nil).compile(from: finest)
    }

    /// The newer version's fields and forms, cut as finely as in any of the two.
    static func finest(_ installed: Catalogue) throws(Failure) -> Catalogue {
        let field = VersionEdits.AddedField(form: "general.school.campus", number: 60, id: "motto", title: "校训", type: nil)
        let form = VersionEdits.AddedForm(
            number: 90, id: "general.school.club", title: "社团", columns: ["club_number 社团编号", "club_name 社团名称", "club_room 活动室"])
        return try VersionEdits(name: "finest", sites: nil, fields: [field], groups: nil, forms: [form]).compile(from: installed)
    }

    func drawVersion() -> Catalogue {
        guard plan.hasVersions, dice.chance(0.6) else { return newestCatalogue }
        faults.count(.olderVersion)
        return olderCatalogue
    }

    private var older: [Site] { sites.filter { $0.catalogue.hash != newestCatalogue.hash } }

    /// Somebody installs the newer program.
    func switchSomebody() {
        guard let site = dice.pick(older.filter { $0.isUp && !$0.fuse.isBlown }) else { return }
        site.fuse.blow(at: Self.switching)
    }

    /// Everybody who has not yet.
    func switchEverybody() { for site in older where site.isUp && !site.fuse.isBlown { site.fuse.blow(at: Self.switching) } }

    /// Its process has ended; the next one works with the newer version.
    func takeVersion(_ site: Site) {
        let met = try? site.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM zz_foreign")! }
        if met ?? 0 > 0 { faults.count(.foreign) }
        faults.count(.switched)
        note("\(site.name) goes on with the newer catalogue, \(met ?? 0) foreign fields and forms")
        (site.catalogue, site.hasSwitched, site.isSwitching) = (newestCatalogue, true, true)
    }

    // MARK: what a site knows by another name

    /// A form's table and columns at a site, in the newer version's order; NULL for what it has not heard of.
    func columns(_ form: Form, _ versions: CatalogueVersions, _ db: Database) throws -> (table: String, columns: String)? {
        guard let local = try versions.wide(db)[number: form.number] else { return nil }
        let names = form.fields.map { field in local.fields.first { $0.number == field.number }?.id ?? "NULL" }
        return (local.table, names.joined(separator: ", "))
    }

    /// A row at a node as the newer version has it; nil when it is not there.
    func wholeRow(_ form: Form, _ row: RowID, at node: NodeHome) throws -> [Value]? {
        guard let form = catalogue[number: form.number] else { return nil }
        return try node.database.read { db in
            guard let (table, columns) = try columns(form, node.versions, db) else { return nil }
            let select = try HotStatement(db, "SELECT \(columns) FROM \(table) WHERE id = ?")
            defer { select.reset() }
            select.bind(1, row.rawValue)
            return try select.step() ? form.fields.indices.map { select.value($0) } : nil
        }
    }

    func form(ofCase item: CaseView) -> Form? { catalogue[number: Form.number(of: item.form, in: catalogue)] }

    /// The newer version's column for one that a hub calls by its number.
    func column(_ name: String, of form: Form) -> String {
        guard name.hasPrefix("_f"), let number = Int(name.dropFirst(2)) else { return name }
        return form.fields.first { $0.number == number }?.id ?? name
    }
}
