<?php
// Answers with the paths that programs in PHP take out of a target, one a line.
$target = $_SERVER["REQUEST_URI"];
foreach ([$target, rawurldecode($target)] as $text) {
	$path = (string) parse_url($text, PHP_URL_PATH);
	echo $path, "\n", rawurldecode($path), "\n";
}
echo $_SERVER["SCRIPT_NAME"], "\n", $_SERVER["PATH_INFO"] ?? "";
