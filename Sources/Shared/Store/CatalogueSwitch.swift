// A home goes on with another version of the catalogue: newer or older, the same steps. What was foreign and is known now becomes
// an ordinary column; what is known no more becomes a foreign one; a value is never converted.
//
// Two designs: alter each table in place, column by column (short for a field more, but SQLite cannot change a column's type, and a
// foreign one has none), or make the tables whose columns differ anew and copy them. The second: one way for every difference,
// forwards and backwards; it costs one copy of the forms that changed, once. All of it is one transaction: a home is of one version.

import Foundation
import GRDB

package struct CatalogueSwitch {
    /// Both as wide as what the home holds.
    package let old: Catalogue
    package let new: Catalogue
    private let foreign: [(form: FormNumber, field: Int)]

    /// Nobody may work on a home while it switches, least of all a program of the other version.
    ///
    /// - Returns: nil when there is nothing to switch.
    /// - Throws: `Failure(.busy)` when another program serves or syncs the home.
    package static func lock(
        _ home: String, _ database: DatabasePool, _ versions: CatalogueVersions, _ names: [String]
    ) throws -> [HomeLock]? {
        guard try database.read({ try CatalogueVersions.present($0).map { $0 != versions.own.hash } ?? false }) else { return nil }
        return try names.map { name in
            do throws(Failure) { return try HomeLock(home, name) } catch {
                throw Failure(
                    error.kind, "\(home) is in use by a program with another version of the catalogue. \(error.what)",
                    next: "Stop that program, then repeat: this one takes the data over. Or name its version with --catalogue.")
            }
        }
    }

    /// What has to change in a home's tables; nil when they are of this version already.
    package init?(_ db: Database, _ versions: CatalogueVersions) throws {
        guard let present = try CatalogueVersions.present(db), present != versions.own.hash else { return nil }
        guard let was = try versions.version(db, present) else {
            throw Failure(
                .damaged, "The files of the catalogue that this home was made by are missing in it.",
                next: "Open it with the program or the --catalogue that it was used with last.")
        }
        old = was.widened(by: try ForeignFields.load(db))
        var foreign: [(form: FormNumber, field: Int)] = []
        for form in old.storedForms {
            let own = versions.own[number: form.number]
            if own == nil { foreign.append((form.number, 0)) }
            let known = own?.allFields ?? FieldMask()
            for number in form.fields.map(\.number).sorted() where !known.contains(number) { foreign.append((form.number, number)) }
        }
        self.foreign = foreign
        var fields = ForeignFields()
        for (form, field) in foreign { fields.add(form: form, field: field) }
        new = versions.own.widened(by: fields)
    }

    /// Forms with a table under the new version, and what they were before; nil for a new one.
    package var forms: [(old: Form?, new: Form)] { new.storedForms.map { (old[number: $0.number], $0) } }

    /// Notes the new version; the tables are the caller's.
    package func finish(_ db: Database, _ own: Catalogue) throws {
        try db.execute(sql: "DELETE FROM zz_foreign")
        for (form, field) in foreign {
            try db.execute(sql: "INSERT INTO zz_foreign (form, field) VALUES (?, ?)", arguments: [form, field])
        }
        try CatalogueVersions.keep(db, own)
    }

    /// Makes a form's table anew where its columns differ.
    ///
    /// - Parameters:
    ///   - table: its SQL.
    ///   - extra: columns beside the fields, copied as they are.
    /// - Returns: whether there is another table now, without indexes and triggers.
    package static func remake(
        _ db: Database, _ old: Form?, _ new: Form, table: (Form) -> String, extra: [String]
    ) throws -> Bool {
        guard let old else {
            try db.execute(sql: table(new))
            return true
        }
        func columns(_ form: Form) -> Set<[String]> { Set(form.fields.map { ["\($0.number)", $0.id, $0.sqlType] }) }
        if old.table == new.table, columns(old) == columns(new) { return false }
        let aside = "zz_old_\(old.table)"
        try db.execute(sql: "ALTER TABLE \(old.table) RENAME TO \(aside)")
        try db.execute(sql: table(new))
        var (from, to) = (extra, extra)
        for field in new.fields {
            guard let was = old.fields.first(where: { $0.number == field.number }) else { continue }
            try check(db, aside, was, becomes: field, of: new)
            from.append(was.id)
            to.append(field.id)
        }
        try db.execute(sql: "INSERT INTO \(new.table) (\(to.joined(separator: ", "))) SELECT \(from.joined(separator: ", ")) FROM \(aside)")
        try db.execute(sql: "DROP TABLE \(aside)")
        return true
    }

    /// SQLite would make a text of a number, silently.
    private static func check(_ db: Database, _ table: String, _ old: Field, becomes new: Field, of form: Form) throws {
        guard old.sqlType != new.sqlType, !new.isForeign else { return }
        let kinds = ["TEXT": "'text'", "INTEGER": "'integer'", "REAL": "'real'"][new.sqlType]!
        let others = try Int.fetchOne(db, sql: "SELECT count(*) FROM \(table) WHERE typeof(\(old.id)) NOT IN ('null', \(kinds))")!
        guard others == 0 else {
            throw Failure(
                .damaged, "\(form.path): field \(new.number) (\(new.title)) is \(new.type) in this catalogue, and \(others) rows hold another kind of value.",
                next: "Nothing was changed: go on with the version used last, and have the values corrected where they come from.")
        }
    }
}

extension Form {
    /// This form's columns with the groups of another version, all of whose fields it has.
    package func grouped(like other: Form) -> Form {
        var copy = self
        copy.groups = other.groups.map { group in
            var cut = Group(
                number: group.number, name: group.name,
                fields: group.fields.map { index in fields.firstIndex { $0.number == other.fields[index].number }! },
                mask: group.mask, policy: group.policy)
            cut.owner = group.owner
            cut.isForeign = group.isForeign
            return cut
        }
        return copy
    }

    /// Whether groups, and what is said of rows group by group, are the same.
    package func isGrouped(like other: Form) -> Bool {
        func cuts(_ form: Form) -> Set<[UInt128]> { Set(form.groups.map { [$0.mask.bits, $0.isForeign ? 1 : 0] }) }
        return cuts(self) == cuts(other)
    }
}
