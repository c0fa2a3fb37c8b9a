import Crypto
import Foundation
import GRDB
import Testing

@testable import Shared

/// A form whose fields are named a, b, c…; a fill each, "" for none.
private func catalogue(_ fills: [String], sexes: String = "1\t男\n2\t女\n") throws -> Catalogue {
    var toml = """
        id = "test.form"
        number = 5
        module = "M"
        section = "S"
        title = "T"
        period = "continuous"
        key = []
        prerequisites = []
        [levels]
        [example]

        """
    for (index, fill) in fills.enumerated() {
        let id = String(UnicodeScalar(UInt8(0x61 + index)))
        toml += "[[field]]\nnumber = \(index + 1)\nid = \"\(id)\"\ntitle = \"字段\(id)\"\ntype = \"text\"\nstatus = \"standard\"\n"
        if !fill.isEmpty { toml += "fill = \"\(fill)\"\n" }
    }
    return try CatalogueLoader.compile([
        CatalogueFile(name: "forms/test.form.toml", text: toml),
        CatalogueFile(name: "codes/sex.tsv", text: "code\tname\n" + sexes),
    ])
}

/// Field 1 is an ID number, 2 a name, 3 an address; the others follow, field 4 before what it follows from.
private let fills = [
    "", "", "", "code_name('sex', e)", "id_sex(a)", "id_birth(this.a)", "id_region(a)", "lower(pinyin(b))", "'G' || a",
    "c", "substr(c, 2, 3)", "CASE WHEN e = '1' THEN b ELSE c END", "CAST(substr(f, 1, 4) AS INTEGER) + 3",
    "(CAST(substr(f, 1, 4) AS INTEGER) + 3) || '-07'", "coalesce(c, b, '无')",
]

private func citizen(_ rng: inout Seeded) -> String {
    let body = "4101\(10 + rng.below(80))20\(10 + rng.below(15))0\(1 + rng.below(9))1\(rng.below(10))\(100 + rng.below(899))"
    return body + String(decoding: [DigitPattern.check(Array(body.utf8), count: 17)], as: UTF8.self)
}

private func row(_ rng: inout Seeded) -> [Value] {
    let id = citizen(&rng)
    let name = ["王伟", "欧阳娜", "曾小雨", "单芳芳"][rng.below(4)]
    let pinyin = ["wang wei", "ouyang na", "zeng xiaoyu", "shan fangfang"]
    let address = rng.chance(10) ? Value.null : .text("中牟县\(rng.below(900))号")
    let isMale = Array(id.utf8)[16] % 2 == 1
    let birth = "\(id.dropFirst(6).prefix(4))-\(id.dropFirst(10).prefix(2))-\(id.dropFirst(12).prefix(2))"
    let year = Int64(birth.prefix(4))!
    return [
        .text(id), .text(name), address, .text(isMale ? "男" : "女"), .text(isMale ? "1" : "2"), .text(birth),
        .text(String(id.prefix(6))), .text(pinyin[["王伟", "欧阳娜", "曾小雨", "单芳芳"].firstIndex(of: name)!]), .text("G" + id),
        address, address.isNull ? .null : .text(String(address.shown.dropFirst().prefix(3))), isMale ? .text(name) : address,
        .integer(year + 3), .text("\(year + 3)-07"), address.isNull ? .text(name) : address,
    ]
}

private func body(_ rows: [[Value]], masks: [FieldMask]) -> SegmentBody {
    var form = FormChanges(form: 5)
    let count = rows.count
    form.rows = (0..<count).map { RowID(Int64($0)) }
    form.life = Array(repeating: .alive, count: count)
    form.masks = masks
    form.fields = masks.reduce(FieldMask()) { $0 | $1 }.fields
    form.stamps = Array(repeating: 0, count: count)
    form.columns = form.fields.map { field in
        var column = CellColumn()
        for i in 0..<count { column.append(masks[i].contains(field) ? rows[i][field - 1] : .null) }
        return column
    }
    var body = SegmentBody()
    body.stamps = [Stamp(origin: SiteID(9), author: "王老师", time: 1_790_000_000)]
    body.forms = [form]
    return body
}

private let allFields = FieldMask((1 << UInt128(fills.count)) - 1)

private func seal(_ body: SegmentBody, _ predictors: Predictors) throws -> SealedSegment {
    try SegmentCodec.seal(
        body: body, kind: .changes, scope: ScopeID(0x1111), site: SiteID(0x2222), firstSeq: Seq(1),
        lastSeq: Seq(Int64(body.changeCount)), cursor: .none, epoch: 0, previousHash: .none, catalogueHash: .none,
        predictors: predictors, level: 9, signingKey: codecKey)
}

private func open(_ bytes: [UInt8], _ predictors: Predictors) throws(CodecError) -> SegmentBody {
    try SegmentCodec.decode(try SegmentCodec.verify(bytes, key: codecKey.publicKey), predictors: predictors)
}

private func thrown(_ block: () throws -> Any) -> CodecError? {
    do {
        _ = try block()
        return nil
    } catch { return error as? CodecError }
}

@Suite struct Prediction {
    @Test func everyFillOfTheSubsetPredicts() throws {
        let predictors = try catalogue(fills).predictors
        var rng = Seeded(1)
        let rows = (0..<300).map { _ in row(&rng) }
        let whole = body(rows, masks: Array(repeating: allFields, count: 300))
        let predicted = try BodyCodec.encode(whole, predictors: predictors)
        #expect(predicted.predicted.map(\.field) == Array(4...fills.count))
        // Name, ID number and address are all that is left.
        let alone = body(rows, masks: Array(repeating: FieldMask(7), count: 300))
        #expect(predicted.bytes.count < (try BodyCodec.encode(alone)).bytes.count + 12 * 20)
        #expect(try BodyCodec.decode(predicted.bytes, predictors: predictors) == whole)
    }

    /// Random exceptions, changes without the sources, nulls, other kinds of values, strange texts.
    @Test(arguments: UInt64(1)...100) func anyBodyComesBack(seed: UInt64) throws {
        var rng = Seeded(seed)
        let predictors = try catalogue(fills).predictors
        let (strange, partial) = (rng.below(60), rng.below(60))
        let count = 1 + rng.below(200)
        var masks: [FieldMask] = []
        let rows = (0..<count).map { _ -> [Value] in
            masks.append(rng.chance(partial) ? FieldMask(UInt128(rng.next()) & allFields.bits) : allFields)
            return row(&rng).map { value in
                guard rng.chance(strange) else { return value }
                let texts = ["", "中文", "\u{0}", "410101200001010010中", "é🀄", "G1", "男"]
                return [.null, .integer(Int64(bitPattern: rng.next())), .real(1.5), .text(texts[rng.below(7)])][rng.below(4)]
            }
        }
        let body = body(rows, masks: masks)
        let sealed = try seal(body, predictors)
        #expect(try open(sealed.bytes, predictors) == body, "seed \(seed)")
        #expect(try open(seal(body, .none).bytes, predictors) == body, "seed \(seed)")
        // Broken bytes are read to the end or refused, they never trap; what is read is valid.
        let raw = try BodyCodec.encode(body, predictors: predictors).bytes
        for _ in 0..<100 {
            var bad = raw
            for _ in 0...rng.below(3) { bad[rng.below(bad.count)] = [0, 1, 0x20, 0x7F, 0xFF, UInt8(rng.below(256))][rng.below(6)] }
            guard let read = try? BodyCodec.decode(bad, predictors: predictors) else { continue }
            let again = try BodyCodec.encode(read, predictors: predictors)
            #expect(try BodyCodec.decode(again.bytes, predictors: predictors) == read, "seed \(seed)")
        }
    }

    /// What follows no prediction costs at most 1 % more, and depends on nothing.
    @Test func unpredictableCostsNothing() throws {
        let predictors = try catalogue(fills).predictors
        for seed: UInt64 in 1...5 {
            var rng = Seeded(seed)
            let rows = (0..<2_000).map { _ in row(&rng) }
            // Each column in an order of its own.
            var columns = (0..<fills.count).map { column in rows.map { $0[column] } }
            for column in columns.indices { columns[column].shuffle(using: &rng) }
            let shuffled = body(
                (0..<2_000).map { i in columns.map { $0[i] } }, masks: Array(repeating: allFields, count: 2_000))
            let plain = try seal(shuffled, .none).bytes.count, sealed = try seal(shuffled, predictors).bytes.count
            #expect(Double(sealed) <= Double(plain) * 1.01, "seed \(seed): \(sealed) bytes, \(plain) without predictors")
        }
    }

    @Test func anotherSetWaits() throws {
        var rng = Seeded(3)
        let rows = (0..<50).map { _ in row(&rng) }
        let whole = body(rows, masks: Array(repeating: allFields, count: 50))
        let ours = try catalogue(fills).predictors
        let sealed = try seal(whole, ours)
        #expect(sealed.header.decodingHash != SegmentCodec.decodingHash)
        let unknown = CodecError.unknownDecoding(hash: sealed.header.decodingHash.description)
        #expect(unknown.mayBeReadableLater)
        var otherFill = fills
        otherFill[10] = "substr(c, 2, 4)"
        // A receiver without fills, with another fill, with another code table.
        #expect(thrown { try open(sealed.bytes, .none) } == unknown)
        #expect(thrown { try open(sealed.bytes, catalogue(otherFill).predictors) } == unknown)
        #expect(thrown { try open(sealed.bytes, catalogue(fills, sexes: "1\t男性\n2\t女\n").predictors) } == unknown)
        // What a segment does not use may differ; without prediction nothing is needed at all.
        let few = body(rows, masks: Array(repeating: FieldMask(0b1_0011_0001), count: 50))
        #expect(try open(seal(few, ours).bytes, catalogue(otherFill).predictors) == few)
        let sources = body(rows, masks: Array(repeating: FieldMask(7), count: 50))
        let plain = try seal(sources, ours)
        #expect(plain.header.decodingHash == SegmentCodec.decodingHash)
        #expect(try open(plain.bytes, .none) == sources)
        // A predicted column under the plain hash is no value of anything.
        let forged = try SegmentCodec.seal(
            body: whole, kind: .changes, scope: ScopeID(1), site: SiteID(2), firstSeq: Seq(1), lastSeq: Seq(50),
            cursor: .none, epoch: 0, previousHash: .none, catalogueHash: .none, predictors: ours,
            decodingHash: SegmentCodec.decodingHash, level: 9, signingKey: codecKey)
        guard case .unknownEncoding(what: "column layout", number: 0x20, at: _)? = thrown({ try open(forged.bytes, ours) })
        else { return #expect(Bool(false), "a predicted column was read without its set") }
    }

    @Test func circlesAreLeftOut() throws {
        let predictors = try catalogue(["b", "a", "c", "d || a", "d"]).predictors
        #expect((1...5).map { predictors[5, $0] != nil } == [true, false, false, false, true])
        #expect(predictors.order(5) == [1, 5])
    }

    @Test func outsideTheSubsetPredictsNothing() throws {
        let outside = [
            "upper(a)", "a ||", "'open", "a = b", "substr(a, -2)", "substr(a, b)", "(SELECT a)", "x", "a; b", "1", "CAST(a AS TEXT)",
            "pinyin(a, b)", "a b", "random()", String(repeating: "(", count: 99),
        ]
        for fill in outside { #expect(try catalogue([fill, ""]).predictors[5, 1] == nil, "\(fill)") }
        let inside = try catalogue(["''' || b", "'it''s' || B", "THIS.b", "CASE when b='1' then 'x' end", ""])
        #expect((1...4).map { inside.predictors[5, $0] != nil } == [false, false, false, true])
    }

    /// On the texts that fills are made for, SQLite says the same.
    @Test func sameAsSQLite() throws {
        let catalogue = try catalogue(fills)
        let database = try DatabaseQueue()
        try database.write { db in
            SQLFunctions.register(on: db.sqliteConnection!, codeSets: catalogue.codeSets)
            let names = catalogue.forms[0].fields.map(\.id)
            try db.execute(sql: "CREATE TABLE this (\(names.joined(separator: ", ")))")
            var rng = Seeded(8)
            for _ in 0..<50 {
                let cells = row(&rng)
                let values: [(any DatabaseValueConvertible)?] = cells.map {
                    if case .integer(let value) = $0 { value } else if $0.isNull { nil } else { $0.shown }
                }
                try db.execute(sql: "DELETE FROM this")
                try db.execute(
                    sql: "INSERT INTO this VALUES (\(names.map { _ in "?" }.joined(separator: ", ")))", arguments: StatementArguments(values))
                for (index, fill) in fills.enumerated() where !fill.isEmpty {
                    let found = try DatabaseValue.fetchOne(db, sql: "SELECT \(fill) FROM this")!
                    #expect(found == (values[index]?.databaseValue ?? .null), "\(fill)")
                }
            }
        }
    }

    @Test func namesAreSpeltAsTheStandardHasThem() {
        func pinyin(_ name: String) -> String? {
            var name = name
            return name.withUTF8 { Pinyin.name($0) }.map { String(decoding: $0, as: UTF8.self) }
        }
        #expect(pinyin("王小明") == "Wang Xiaoming")
        #expect(pinyin("欧阳娜娜") == "Ouyang Nana")
        #expect(pinyin("曾曾") == "Zeng Ceng")
        #expect(pinyin("吕梓涵") == "Lü Zihan")
        #expect(pinyin("单") == "Shan")
        for none in ["", "Tom", "王a明", "买买提·阿不都", "王\u{E000}", "玛丽亚玛丽亚玛丽亚"] { #expect(pinyin(none) == nil, "\(none)") }
    }

    /// What was sealed once is read for ever (`CodecGolden`).
    @Test func goldenStillReads() throws {
        var rng = Seeded(77)
        var masks = Array(repeating: allFields, count: 60)
        masks[9] = FieldMask(0b11_0000_0110)
        var rows = (0..<60).map { _ in row(&rng) }
        rows[5][7] = .text("wang  wei")
        rows[40][12] = .null
        let expected = body(rows, masks: masks)
        let predictors = try catalogue(fills).predictors
        let file = CodecGolden.folder.appendingPathComponent("predicted-1.zzs")
        if ProcessInfo.processInfo.environment["ZZSYNC_WRITE_GOLDEN"] != nil {
            try Data(seal(expected, predictors).bytes).write(to: file)
        }
        let bytes = [UInt8](try Data(contentsOf: file))
        #expect(try open(bytes, predictors) == expected)
        let old = try SegmentCodec.inspect(bytes), new = try seal(expected, predictors).header
        #expect(old.valuesDigest == new.valuesDigest, "the encoder writes another body than it did")
        #expect(old.decodingHash == new.decodingHash)
    }

    @Test(arguments: UInt64(1)...20) func checkedNumbersComeBack(seed: UInt64) throws {
        var rng = Seeded(seed)
        var column = CellColumn()
        let (wrong, count) = (rng.below(30), 40 + rng.below(100))
        for _ in 0..<count {
            let id = citizen(&rng)
            column.append(.text(rng.chance(wrong) ? String(id.dropLast()) + "3" : id))
        }
        var out = ByteWriter()
        ColumnCodec.encode(column, cells: (0..<count).map(Int32.init), into: &out)
        if wrong < 5 { #expect(out.bytes[1] == TextCodec.Encoding.checkedPairs.rawValue, "seed \(seed)") }
        var reader = ByteReader(out.bytes)
        var budget = DecodeBudget()
        #expect(try ColumnCodec.decode(count: count, present: nil, from: &reader, budget: &budget) == column, "seed \(seed)")
    }

    /// Groups of digits with habits of their own, and short texts of few or many characters.
    @Test(arguments: UInt64(1)...40) func groupsAndCharactersComeBack(seed: UInt64) throws {
        var rng = Seeded(seed)
        let (years, codes, odd, stray) = (1 + rng.below(5), 1 + rng.below(12), rng.below(2), rng.chance(50) ? rng.below(9) : 0)
        let alphabet = 1 + rng.below(seed % 2 == 0 ? 5_000 : 90)
        let count = 64 + rng.below(400)
        var digits = CellColumn(), names = CellColumn()
        for i in 0..<count {
            let number = "\(odd == 1 ? "7" : "")20\(10 + i * years / count)\(10 + rng.below(codes))\(30 + rng.below(codes))0\(i % 4)"
            digits.append(.text(rng.chance(stray) ? ["无", "20X", "2010101001"][rng.below(3)] : number))
            let scalars = (0..<rng.below(4)).map { _ in UnicodeScalar(UInt32(0x4E00 + min(rng.below(alphabet), rng.below(alphabet))))! }
            names.append(.text(rng.chance(stray) ? ["", "é", "a\u{0}b", "·"][rng.below(4)] : String(String.UnicodeScalarView(scalars))))
        }
        for column in [digits, names] {
            var out = ByteWriter()
            ColumnCodec.encode(column, cells: (0..<count).map(Int32.init), into: &out)
            func read(_ bytes: [UInt8]) throws(CodecError) -> CellColumn {
                var reader = ByteReader(bytes)
                var budget = DecodeBudget()
                let read = try ColumnCodec.decode(count: count, present: nil, from: &reader, budget: &budget)
                try reader.expectEnd(of: "column")
                return read
            }
            #expect(try read(out.bytes) == column, "seed \(seed)")
            for length in stride(from: 0, to: out.count, by: 7) {
                #expect(thrown { try read(Array(out.bytes[..<length])) } != nil, "seed \(seed), \(length) bytes")
            }
            for _ in 0..<200 {
                var bad = out.bytes
                for _ in 0...rng.below(3) { bad[rng.below(min(bad.count, 60))] = [0, 1, 9, 0x7F, 0xFF, UInt8(rng.below(256))][rng.below(6)] }
                _ = try? read(bad)
            }
        }
    }
}
