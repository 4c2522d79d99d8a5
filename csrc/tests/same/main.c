/* `same VOICE.wav --write FILE` writes what this build makes of it; `same VOICE.wav FILE` compares this build with that. See same.h. */
#include "same.h"

#include <math.h>
#include <stdio.h>

enum { MOST_BLOCKS = 4, HEADER = 44 };

typedef struct kept {
    float *values;
    int64_t *numbers;
    size_t value_count, value_room, number_count, number_room;
} kept;

float voice[VOICE_HOPS * RT_HOP];
int16_t voice16[VOICE_HOPS * RT_HOP];
static kept now;
static void *blocks[MOST_BLOCKS];

static void *grown(void *memory, size_t *room, size_t needed, size_t each)
{
    if (needed <= *room)
        return memory;
    *room = 2 * needed;
    memory = realloc(memory, *room * each);
    if (!memory)
        abort();
    return memory;
}

void keep(const float *values, uint32_t count)
{
    now.values = grown(now.values, &now.value_room, now.value_count + count, sizeof *values);
    memcpy(now.values + now.value_count, values, count * sizeof *values);
    now.value_count += count;
}

void keep_one(double value)
{
    keep(&(float){(float)value}, 1);
}

void keep_number(int64_t number)
{
    now.numbers = grown(now.numbers, &now.number_room, now.number_count + 1, sizeof number);
    now.numbers[now.number_count++] = number;
}

void keep_codes(const uint8_t *codes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        keep_number(codes[i]);
}

void keep_samples(const int16_t *samples, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        keep_one(samples[i] / 32768.0);
}

void *make(size_t bytes)
{
    for (int i = 0; i < MOST_BLOCKS; i++)
        if (!blocks[i]) {
            blocks[i] = aligned_alloc(64, RT_ALIGN64(bytes + 1));
            return blocks[i] ? memset(blocks[i], 0, RT_ALIGN64(bytes + 1)) : NULL;
        }
    abort();
}

float noise(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (float)((*state * 2685821657736338717ull) >> 41) / 4194304.0f - 1.0f;
}

static void run(const same_row *row)
{
    now.value_count = now.number_count = 0;
    row->run();
    for (int i = 0; i < MOST_BLOCKS; i++) {
        free(blocks[i]);
        blocks[i] = NULL;
    }
    if (now.value_count + now.number_count == 0)
        abort();
}

static int load_voice(const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t read = 0;
    if (file && fseek(file, HEADER, SEEK_SET) == 0)
        read = fread(voice16, sizeof *voice16, VOICE_HOPS * RT_HOP, file);
    if (file)
        fclose(file);
    for (size_t i = 0; i < read; i++)
        voice[i] = (float)voice16[i] / 32768.0f;
    return read == VOICE_HOPS * RT_HOP;
}

static int write_row(const same_row *row, FILE *file)
{
    run(row);
    uint64_t counts[2] = {now.value_count, now.number_count};
    fwrite(counts, sizeof *counts, 2, file);
    fwrite(now.values, sizeof *now.values, now.value_count, file);
    return fwrite(now.numbers, sizeof *now.numbers, now.number_count, file) == now.number_count;
}

/* The largest difference of a value; of numbers, how many differ. A value that is not finite differs by infinity. */
static double differs(const float *other, const int64_t *numbers, uint64_t *unequal)
{
    double most = 0.0;
    *unequal = 0;
    for (size_t i = 0; i < now.value_count; i++) {
        double difference = fabs((double)now.values[i] - other[i]);
        if (!(difference <= most))
            most = isfinite(difference) ? difference : INFINITY;
    }
    for (size_t i = 0; i < now.number_count; i++)
        *unequal += now.numbers[i] != numbers[i];
    return most;
}

/* The next row of the file is this one: as many values, as many numbers. */
static int read_row(FILE *file, float **values, int64_t **numbers)
{
    uint64_t counts[2];
    if (fread(counts, sizeof *counts, 2, file) != 2 || counts[0] != now.value_count || counts[1] != now.number_count)
        return 0;
    *values = malloc(counts[0] * sizeof **values + 1);
    *numbers = malloc(counts[1] * sizeof **numbers + 1);
    return *values && *numbers && fread(*values, sizeof **values, counts[0], file) == counts[0] &&
           fread(*numbers, sizeof **numbers, counts[1], file) == counts[1];
}

static int compare_row(const same_row *row, FILE *file)
{
    float *values = NULL;
    int64_t *numbers = NULL;
    uint64_t unequal = 0;
    run(row);
    int alike = read_row(file, &values, &numbers);
    double most = alike ? differs(values, numbers, &unequal) : INFINITY;
    int good = alike && most <= row->tolerance && unequal == 0;
    printf("%-30s %9zu %12.2e %12.2e %9zu %8llu  %s\n", row->name, now.value_count, most, row->tolerance, now.number_count,
           (unsigned long long)unequal, good ? "same" : alike ? "DIFFERS" : "OTHER COUNTS");
    free(values);
    free(numbers);
    return good;
}

int main(int count, char **arguments)
{
    int writes = count == 4 && strcmp(arguments[2], "--write") == 0;
    if (!writes && count != 3)
        return fprintf(stderr, "usage: same VOICE.wav [--write] FILE\n"), 2;
    FILE *file = fopen(arguments[count - 1], writes ? "wb" : "rb");
    if (!file || !load_voice(arguments[1]))
        return fprintf(stderr, "same: %s or %s cannot be used\n", arguments[1], arguments[count - 1]), 2;
    if (!writes)
        printf("%-30s %9s %12s %12s %9s %8s\n", "", "values", "most apart", "tolerance", "numbers", "unequal");
    int good = 1;
    const same_row *const tables[] = {same_blocks, same_ears, same_chains};
    for (int n = 0; n < 3; n++)
        for (const same_row *row = tables[n]; row->name; row++)
            good &= writes ? write_row(row, file) : compare_row(row, file);
    good &= writes ? 1 : fgetc(file) == EOF;
    return fclose(file) != 0 || !good;
}
