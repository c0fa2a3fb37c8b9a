// TOML and TSV in, a compiled `Catalogue` out. Order of sources: a directory that is named, else the files in the binary.
//
// Strict: an unknown key, a wrong type or a broken reference names file and line, for provinces edit these files.

import CatalogueData
import Crypto
import Foundation
import TOMLKit

package enum CatalogueLoader {
    /// The catalogue inside the binary.
    package static func embedded() throws(Failure) -> Catalogue {
        try compile(embeddedFiles())
    }

    /// The catalogue of a directory with `forms/*.toml` and `codes/*.tsv`.
    package static func load(directory: String) throws(Failure) -> Catalogue {
        var files: [CatalogueFile] = []
        for part in ["forms", "codes"] {
            let folder = directory + "/" + part
            let names: [String]
            do {
                names = try FileManager.default.contentsOfDirectory(atPath: folder)
            } catch {
                throw Failure(
                    .usage, "The catalogue folder \(folder) cannot be read.",
                    next: "Name a folder that holds forms/*.toml and codes/*.tsv.")
            }
            for name in names.sorted() where name.hasSuffix(".toml") || name.hasSuffix(".tsv") {
                files.append(CatalogueFile(name: part + "/" + name, text: try TextFile.read(folder + "/" + name)))
            }
        }
        return try compile(files)
    }

    package static func embeddedFiles() -> [CatalogueFile] {
        (0..<Int(zz_catalogue_count())).map { index in
            let file = zz_catalogue_file(Int32(index))
            let bytes = UnsafeRawBufferPointer(start: file.bytes, count: file.size)
            return CatalogueFile(name: String(cString: file.name), text: String(decoding: bytes, as: UTF8.self))
        }
    }

    package static func compile(_ files: [CatalogueFile]) throws(Failure) -> Catalogue {
        let files = files.sorted { $0.name < $1.name }
        var codeSets: [String: CodeSet] = [:]
        for file in files where file.name.hasSuffix(".tsv") {
            let set = try codeSet(file)
            codeSets[set.name] = set
        }
        var sources: [(file: CatalogueFile, toml: FormTOML)] = []
        for file in files where file.name.hasSuffix(".toml") {
            sources.append((file, try decode(file)))
        }
        let byID = Dictionary(grouping: sources, by: \.toml.id)
        if let (id, twice) = byID.min(by: { ($1.value.count, $0.key) < ($0.value.count, $1.key) }), twice.count > 1 {
            throw Failure(
                .usage, "\(twice[1].file.name): the form '\(id)' stands in \(twice[0].file.name) already.", next: "Give one of them another id.")
        }
        let targets = Dictionary(sources.map { ($0.toml.id, $0.toml) }, uniquingKeysWith: { first, _ in first })
        var forms: [Form] = []
        for (file, toml) in sources {
            forms.append(try FormCompiler(file: file, toml: toml, codeSets: codeSets, forms: targets).compile())
        }
        for (first, second) in zip(forms.sorted { $0.number < $1.number }, forms.sorted { $0.number < $1.number }.dropFirst())
        where first.number == second.number {
            throw Failure(
                .usage, "Forms \(first.id) and \(second.id) both have number \(first.number).",
                next: "Numbers are never reused: give one of them a new one.")
        }
        var hash = SHA256()
        for file in files {
            hash.update(data: Data(file.name.utf8))
            hash.update(data: Data([0]))
            hash.update(data: Data(file.text.utf8))
        }
        return Catalogue(forms: forms, codeSets: codeSets, files: files, hash: ContentHash(bytes: Array(hash.finalize()))!)
    }

    private static func codeSet(_ file: CatalogueFile) throws(Failure) -> CodeSet {
        let lines = file.text.split(separator: "\n", omittingEmptySubsequences: true)
        guard let header = lines.first, header.hasPrefix("code\tname") else {
            throw Failure(
                .usage, "\(file.name), line 1: the header must begin with code<TAB>name.", next: "Mend the first line.")
        }
        let entries: [(code: String, name: String)] = lines.dropFirst().compactMap { line in
            let cells = line.split(separator: "\t", omittingEmptySubsequences: false)
            return cells.count < 2 ? nil : (String(cells[0]), String(cells[1]))
        }
        let name = file.name.split(separator: "/").last!.dropLast(".tsv".count)
        return CodeSet(name: String(name), entries: entries)
    }

    private static func decode(_ file: CatalogueFile) throws(Failure) -> FormTOML {
        do {
            var decoder = TOMLDecoder()
            decoder.strictDecoding = true
            return try decoder.decode(FormTOML.self, from: file.text)
        } catch let error as TOMLParseError {
            throw Failure(
                .usage,
                "\(file.name), line \(error.source.begin.line), column \(error.source.begin.column): \(error.description)",
                next: "Mend the TOML there.")
        } catch {
            throw Failure(
                .usage, "\(file.name): \(describe(error, in: file.text))",
                next: "The keys of a form file are described in the README under \"The catalogue\".")
        }
    }

    /// Turns a decoding error into "line N: what", finding the line of the block that the coding path names.
    package static func describe(_ error: any Error, in text: String) -> String {
        guard let error = error as? DecodingError else { return "\(error)" }
        let (context, what): (DecodingError.Context, String) =
            switch error {
            case .keyNotFound(let key, let context): (context, "'\(key.stringValue)' is missing or has the wrong type")
            case .typeMismatch(_, let context), .valueNotFound(_, let context): (context, "wrong type")
            case .dataCorrupted(let context): (context, "a value is not one of the allowed words")
            @unknown default: (DecodingError.Context(codingPath: [], debugDescription: ""), "\(error)")
            }
        let path = context.codingPath
        guard path.count >= 2, let index = path[1].intValue,
            let line = lineOf(table: path[0].stringValue, index: index, key: path.dropFirst(2).first?.stringValue, in: text)
        else { return "\(path.map(\.stringValue).joined(separator: ".")): \(what)" }
        return "line \(line): \(path.map(\.stringValue).joined(separator: ".")): \(what)"
    }
}

// The keys of a form file, as they stand.

struct FormTOML: Decodable {
    var id: String
    var number: Int
    var module: String
    var section: String
    var title: String
    var template: String?
    var import_order: Int?
    var period: String
    var key: [String]
    var key_scope: KeyScope?
    var prerequisites: [String]
    var levels: [String: String]
    var example: [String: Scalar]
    var field: [FieldTOML]
    var rule: [RuleTOML]?
}

struct FieldTOML: Decodable {
    var number: Int
    var id: String
    var title: String
    var type: FieldType
    var length: Int?
    var codes: String?
    /// Several choices: code → the number of its flag.
    var choices: [String: Int]?
    var references: String?
    var group: String?
    var required: Bool?
    var owner: String?
    var policy: Policy?
    var privacy: String?
    var fill: String?
    var note: String?
    var status: String
}

struct RuleTOML: Decodable {
    var id: String
    var level: RuleLevel
    var when: String?
    var assert: String
    var fields: [String]
    var message: String
    var fix: String
    var breaks: [String: Scalar]?
}

/// A TOML scalar as a stored value.
package struct Scalar: Decodable, Sendable {
    package let value: Value
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let text = try? container.decode(String.self) {
            value = .text(text)
        } else if let integer = try? container.decode(Int64.self) {
            value = .integer(integer)
        } else {
            value = .real(try container.decode(Double.self))
        }
    }
}
