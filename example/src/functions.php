<?php

declare(strict_types=1);

/** Greets event.name; takes nothing but PHP. */
function hello(array $event): array
{
    return ['statusCode' => 200, 'body' => 'Hello, ' . name($event) . '!'];
}

/** Takes leave of event.name with a page that Twig renders, and escapes. */
function goodbye(array $event): array
{
    require_once 'Twig/autoload.php'; // below /opt/vendor, the include path

    $twig = new Twig\Environment(new Twig\Loader\ArrayLoader([
        'goodbye.html' => '<p>Goodbye, <b>{{ name }}</b>!</p>',
    ]));

    return [
        'statusCode' => 200,
        'headers' => ['Content-Type' => 'text/html; charset=utf-8'],
        'body' => $twig->render('goodbye.html', ['name' => name($event)]),
    ];
}

function name(array $event): string
{
    return $event['name'] ?? throw new InvalidArgumentException('the event has no "name"');
}
