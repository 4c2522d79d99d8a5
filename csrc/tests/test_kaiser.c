/* Rows of taps: a whole filter taken apart is symmetric, of unit gain in every phase, and as deep as its beta says. */
#include "check.h"
#include "kaiser.h"

enum { HALF = 24, PHASES = 8, TAPS = 2 * HALF, LENGTH = PHASES * TAPS };

static const double PI = 3.14159265358979323846;

/* The prototype, newest first: phase p holds the points p, p + PHASES, ... of it. */
static void prototype(const rt_kaiser *filter, double *points)
{
    float row[TAPS];

    for (int phase = 0; phase < PHASES; phase++) {
        double sum = 0.0;
        rt_kaiser_row(filter, row, TAPS, (double)phase / PHASES, 1.0);
        for (int i = 0; i < TAPS; i++) {
            sum += (double)row[i];
            points[(TAPS - 1 - i) * PHASES + phase] = (double)row[i] / PHASES;
        }
        CHECK_NEAR(sum, 1.0, 1e-6);
    }
}

/* In dB, the frequency in parts of the lower Nyquist frequency. */
static double response(const double *points, double frequency)
{
    double re = 0.0, im = 0.0;

    for (int i = 0; i < LENGTH; i++) {
        double angle = PI * frequency * i / PHASES;
        re += points[i] * cos(angle);
        im += points[i] * sin(angle);
    }
    return 10.0 * log10(re * re + im * im);
}

static void check_filter(const rt_kaiser *filter, double stop, double rejection)
{
    double points[LENGTH], worst = -300.0;

    prototype(filter, points);
    CHECK_NEAR(points[0], 0.0, 1e-6); /* on the window's edge, which is left out */
    for (int i = 1; i < LENGTH; i++)
        CHECK_NEAR(points[i], points[LENGTH - i], 1e-6);
    for (double f = 0.0; f <= 0.90; f += 0.01)
        CHECK_NEAR(response(points, f), 0.0, 0.1);
    CHECK_NEAR(response(points, filter->cutoff), -6.0, 0.3);
    for (double f = stop; f < PHASES; f += 0.01)
        worst = fmax(worst, response(points, f));
    CHECK(worst <= -rejection);
    CHECK(worst >= -rejection - 12.0); /* the beta is what makes it so deep */
}

int main(void)
{
    check_filter(&(rt_kaiser){HALF, 8.3, 0.99}, 1.10, 80.0);
    check_filter(&(rt_kaiser){HALF, 5.0, 0.96}, 1.04, 50.0);
    return CHECK_DONE();
}
