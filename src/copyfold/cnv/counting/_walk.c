/* The walk over BAM records: sizes checked, filters applied, starts and aligned bases added to the tallies.
 *
 * Record layout: section 4.2 of the SAM specification, https://samtools.github.io/hts-specs/SAMv1.pdf. Nothing is
 * read before its place was checked against the end of the buffer, and nothing is written before contig and position
 * were checked against the layout: the file may be hostile. The filters are explained in docs/methods/counting.md;
 * tally.py applies the same ones to alignments from other sources, and numbers what both count. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdint.h>

enum { FINE, BAD_SIZE, BAD_REFERENCE, BAD_POSITION, BAD_LAYOUT, BAD_CIGAR };
enum { RECORDS, SECONDARY, SUPPLEMENTARY, MAPPED, DUPLICATES, MALFORMED, BELOW_CHROMOSOME, BELOW_PLASMID, N_TOTALS };
enum { UNMAPPED = 0x4, IS_SECONDARY = 0x100, IS_DUPLICATE = 0x400, IS_SUPPLEMENTARY = 0x800 };

#define FIXED_BYTES 36
#define MAX_RECORD (1 << 26)

typedef struct {
    const int64_t *contig_of_reference, *contig_length, *contig_offset, *min_mapq;
    int64_t n_references, n_contigs, n_places;
    int32_t *starts, *depth_change; /* (2, n_places) each */
    int64_t *totals;                /* (n_contigs + 1, N_TOTALS) */
} Tallies;

typedef struct {
    int64_t consumed, problem, n_records, value;
} Outcome;

static int64_t u16(const uint8_t *p) { return (int64_t)(p[0] | p[1] << 8); }

static uint32_t u32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static int64_t i32(const uint8_t *p) { return (int32_t)u32(p); }

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* Whether every operation is known; reference bases, read bases and whether an N stands in it. */
static int measure_cigar(const uint8_t *cigar, int64_t n, int64_t *reference, int64_t *read, int *skips) {
    *reference = *read = *skips = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t word = u32(cigar + 4 * i);
        int64_t length = word >> 4;
        switch (word & 15) {
        case 0: case 7: case 8: *reference += length; *read += length; break;
        case 1: case 4: *read += length; break;
        case 3: *skips = 1; *reference += length; break;
        case 2: *reference += length; break;
        case 5: case 6: break;
        default: return 0;
        }
    }
    return 1;
}

static void add_record(const Tallies *t, int64_t contig, int64_t position, const uint8_t *cigar, int64_t n_cigar,
                       const int *counted) {
    int64_t limit = t->contig_length[contig], start = position;
    int64_t place = t->contig_offset[contig];
    for (int rule = 0; rule < 2; rule++)
        if (counted[rule]) t->starts[rule * t->n_places + place + position]++;
    for (int64_t i = 0; i < n_cigar; i++) {
        uint32_t word = u32(cigar + 4 * i);
        int64_t length = word >> 4, operation = word & 15;
        int aligned = operation == 0 || operation == 7 || operation == 8;
        if (aligned && length > 0 && start < limit) {
            int64_t end = smaller(start + length, limit);
            for (int rule = 0; rule < 2; rule++)
                if (counted[rule]) {
                    int32_t *change = t->depth_change + rule * t->n_places + place;
                    change[start]++;
                    change[end]--;
                }
        }
        if (aligned || operation == 2) start += length;
    }
}

static Outcome walk(const uint8_t *data, int64_t size, const Tallies *t) {
    int64_t at = 0, n_records = 0;
#define STOP(problem, value) return (Outcome){at, (problem), n_records, (value)}
    while (at + 4 <= size) {
        int64_t length = i32(data + at);
        if (length < FIXED_BYTES - 4 || length > MAX_RECORD) STOP(BAD_SIZE, length);
        if (at + 4 + length > size) break;
        const uint8_t *record = data + at;
        int64_t reference = i32(record + 4), position = i32(record + 8);
        int64_t name_bytes = record[12], mapq = record[13];
        int64_t n_cigar = u16(record + 16), flag = u16(record + 18), read_bases = i32(record + 20);
        if (reference < -1 || reference >= t->n_references) STOP(BAD_REFERENCE, reference);
        if (position < -1) STOP(BAD_POSITION, position);
        if (name_bytes < 1 || read_bases < 0) STOP(BAD_LAYOUT, read_bases);
        if (FIXED_BYTES + name_bytes + 4 * n_cigar + (read_bases + 1) / 2 + read_bases > 4 + length)
            STOP(BAD_LAYOUT, read_bases);
        const uint8_t *cigar = record + FIXED_BYTES + name_bytes;
        int64_t reference_bases, cigar_read;
        int skips;
        if (!measure_cigar(cigar, n_cigar, &reference_bases, &cigar_read, &skips)) STOP(BAD_CIGAR, n_cigar);
        int64_t contig = reference >= 0 ? t->contig_of_reference[reference] : -1;
        int64_t *totals = t->totals + (contig >= 0 ? contig : t->n_contigs) * N_TOTALS;
        int mapped = !(flag & UNMAPPED) && reference >= 0 && position >= 0;
        totals[RECORDS]++;
        n_records++;
        at += 4 + length;
        if (flag & IS_SECONDARY)
            totals[SECONDARY]++;
        else if (flag & IS_SUPPLEMENTARY)
            totals[SUPPLEMENTARY]++;
        else if (mapped)
            totals[MAPPED]++;
        if (!mapped) continue;
        if (flag & IS_DUPLICATE) {
            totals[DUPLICATES]++;
            continue;
        }
        int inside = contig < 0 || position < t->contig_length[contig];
        if (!inside || !reference_bases || skips || !read_bases || cigar_read != read_bases) {
            totals[MALFORMED]++;
            continue;
        }
        int counted[2] = {mapq >= t->min_mapq[0], mapq >= t->min_mapq[1]};
        totals[BELOW_CHROMOSOME] += !counted[0];
        totals[BELOW_PLASMID] += !counted[1];
        if (contig >= 0 && (counted[0] || counted[1])) add_record(t, contig, position, cigar, n_cigar, counted);
    }
#undef STOP
    return (Outcome){at, FINE, n_records, 0};
}

static int fits(const Py_buffer *b) {
    int64_t n_contigs = b[2].len / 8, n_places = b[5].len / 8; /* two rows of int32 */
    if (b[3].len != 8 * n_contigs || b[4].len != 16 || b[6].len != b[5].len) return 0;
    if (b[7].len != (n_contigs + 1) * N_TOTALS * 8) return 0;
    const int64_t *contig_of_reference = b[1].buf, *length = b[2].buf, *offset = b[3].buf;
    for (int64_t i = 0; i < b[1].len / 8; i++)
        if (contig_of_reference[i] < -1 || contig_of_reference[i] >= n_contigs) return 0;
    for (int64_t i = 0; i < n_contigs; i++) /* the place behind a contig's last base takes the ends */
        if (length[i] < 0 || offset[i] < 0 || length[i] >= n_places || offset[i] >= n_places - length[i]) return 0;
    return 1;
}

PyDoc_STRVAR(walk_doc,
"walk_records(data, contig_of_reference, contig_length, contig_offset, min_mapq, starts, depth_change, totals)\n\n"
"Count every whole record in `data`; see tally.Tallies for the arrays. Returns (consumed, problem, n_records, value).");

static PyObject *walk_records(PyObject *self, PyObject *args) {
    Py_buffer b[8] = {{0}};
    PyObject *result = NULL;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*y*y*y*y*w*w*w*", b, b + 1, b + 2, b + 3, b + 4, b + 5, b + 6, b + 7)) return NULL;
    if (!fits(b)) {
        PyErr_SetString(PyExc_ValueError, "the arrays do not fit together");
    } else {
        Tallies t = {b[1].buf, b[2].buf, b[3].buf, b[4].buf, b[1].len / 8, b[2].len / 8, b[5].len / 8,
                     b[5].buf, b[6].buf, b[7].buf};
        Outcome o;
        Py_BEGIN_ALLOW_THREADS
        o = walk(b[0].buf, b[0].len, &t);
        Py_END_ALLOW_THREADS
        result = Py_BuildValue("LLLL", (long long)o.consumed, (long long)o.problem, (long long)o.n_records,
                               (long long)o.value);
    }
    for (int i = 0; i < 8; i++) PyBuffer_Release(b + i);
    return result;
}

static PyMethodDef methods[] = {{"walk_records", walk_records, METH_VARARGS, walk_doc}, {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_walk", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__walk(void) { return PyModuleDef_Init(&module); }
